"""Hooks of mkdocs.yml: the READMEs outside docs/ become pages, links lead to the built site.

On GitHub a page links to files of the checkout. On the site a link to a page leads to the built
page, and a link to any other file leads to a copy of it under ``files/``.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Place in the checkout: place among the sources of the site.
PAGES = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'CODE_OF_CONDUCT.md': 'code_of_conduct.md',
    'SECURITY.md': 'security.md',
    'benchmarks/README.md': 'benchmarks.md',
    'leaderboard/README.md': 'leaderboard.md',
    'projects/side_by_side/README.md': 'projects/side_by_side.md',
    'projects/side_by_side/photographs/README.md': 'projects/photographs.md',
    'projects/shape_bias/README.md': 'projects/shape_bias.md',
    'configs/det/README.md': 'configs/det.md',
    'configs/seg/README.md': 'configs/seg.md',
    'configs/cls/README.md': 'configs/cls.md',
}
# ](TARGET) and ](TARGET#ANCHOR), but no URL, no mail address and no anchor alone.
LINK = re.compile(r'\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/ and the files that any page links to."""
    for place, source in PAGES.items():
        files.append(File.generated(config, source, abs_src_path=str(ROOT / place)))
    for file in list(files.documentation_pages()):
        place = _place(file.src_uri)
        for match in LINK.finditer((ROOT / place).read_text()):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place), match[1]))
            uri = _uri(target)
            if (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Make the links of a page, which are of the checkout, those of the site."""
    here = posixpath.dirname(_place(page.file.src_uri))
    folder = posixpath.dirname(page.file.src_uri)

    def of_site(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, match[1]))
        return f']({posixpath.relpath(_uri(target), folder or ".")}{match[2] or ""})'

    return LINK.sub(of_site, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Show the roles of docstrings, such as :class:`Name`, as code."""
    return re.sub(r':(?:attr|class|data|exc|func|meth|mod):<code>~?', '<code>', html)


def _place(uri: str) -> str:
    """The place in the checkout of a source of the site."""
    return next((place for place, source in PAGES.items() if source == uri), f'docs/{uri}')


def _uri(place: str) -> str:
    """The source of the site for a place in the checkout."""
    if place in PAGES:
        return PAGES[place]
    inside = place.startswith('docs/')
    return place.removeprefix('docs/') if inside else f'files/{place}'
