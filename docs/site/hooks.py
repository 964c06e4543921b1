"""What mkdocs does beside: links that leave docs/ lead to copies of the files."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'(?<=\]\()((?:\.\./)+[^)#\s]+)')


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
