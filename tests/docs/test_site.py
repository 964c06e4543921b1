"""The pages of the site, without building it: `make docs` does, and fails at a wrong link."""

import re
from pathlib import Path

import pytest

import mfdet
import mfdet.layers
import mfdet.models
import mfdet.runtime

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
ENTRY = re.compile(r'^::: ([\w.]+)$', re.MULTILINE)
LINK = re.compile(r'\]\(([^)\s]+)\)')
PAGES = [ROOT / 'README.md', *sorted(DOCS.rglob('*.md'))]


def test_every_page_is_in_the_navigation():
    pages = re.findall(r'^ +- .*: ([\w/]+\.md)$', (ROOT / 'mkdocs.yml').read_text(), re.MULTILINE)
    assert len(pages) == len(set(pages))
    assert set(pages) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob('*.md')}


@pytest.mark.parametrize('package', [mfdet, mfdet.runtime, mfdet.models, mfdet.layers])
def test_every_public_name_has_an_entry(package):
    text = ''.join(path.read_text() for path in (DOCS / 'api').glob('*.md'))
    entries = {*ENTRY.findall(text), *re.findall(r'heading: ([\w.]+)', text)}
    names = [name for name in package.__all__ if not name.isupper()]
    assert [name for name in names if f'{package.__name__}.{name}' not in entries] == []


def test_public_names_are_there():
    assert all(callable(getattr(mfdet, name)) for name in mfdet.__all__)


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page):
    for link in LINK.findall(page.read_text()):
        name, _, anchor = link.partition('#')
        if '://' in link:
            continue
        target = page.parent / name if name else page
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r'^#+ (.*)$', target.read_text(), re.MULTILINE)
            slugs = [re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings]
            assert anchor in slugs, link
