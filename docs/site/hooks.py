"""What mkdocs does beside: links that leave docs/ lead to copies of the files, and optional pages may be missing."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
OPTIONAL = ('video.md',)  # pages of the navigation that not every version has
LINK = re.compile(r'(?<=\]\()((?:\.\./)+[^)#\s]+)')


def without(nav, names):
    """Return a navigation without the pages of these names."""
    if isinstance(nav, str):
        return nav
    if isinstance(nav, list):
        return [item for item in (without(item, names) for item in nav) if item]
    return {title: without(item, names) for title, item in nav.items() if item not in names}


def on_config(config):
    """Leave optional pages out of the navigation where they are missing."""
    config.nav = without(config.nav, [name for name in OPTIONAL if not Path(config.docs_dir, name).is_file()])


def on_page_markdown(markdown, page, config, files):
    """Put a copy of each file of the repository that a page links to into the site; a missing one stays a bad link."""

    def link(match):
        target = (Path(page.file.abs_src_path).parent / match[1]).resolve()
        if not (target.is_file() and target.is_relative_to(ROOT)) or target.is_relative_to(config.docs_dir):
            return match[1]
        copy = f'files/{target.relative_to(ROOT).as_posix()}'
        if files.get_file_from_path(copy) is None:
            files.append(File.generated(config, copy, abs_src_path=str(target)))
        return posixpath.relpath(copy, posixpath.dirname(page.file.src_uri) or '.')

    return LINK.sub(link, markdown)
