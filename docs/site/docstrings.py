"""What the docstrings have beside Google's style: roles of Sphinx, and results that are told in a sentence."""

import re

import griffe

ROLE = re.compile(r':(?:class|func|meth|mod|data|attr):`([\w.]+)`')
RESULT = re.compile(r'^( *(?:Returns|Yields):\n +)', re.MULTILINE)


def find(obj, name):
    """Return the path of what a docstring of ``obj`` means by ``name``, looked for in its surroundings; else None."""
    scope = obj
    while scope is not None:
        for full in (f'{scope.path}.{name}', name):
            try:
                return scope.modules_collection[full].canonical_path
            except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
                continue
        scope = scope.parent
    return None


class Docstrings(griffe.Extension):
    """Turn roles into links where what they name is documented on the site, else into code.

    Results get a colon before them: what stands before the first one would be taken for their type.
    """

    def on_package(self, *, pkg, loader, **kwargs):
        """Change the docstrings of a package."""
        self._visit(pkg)

    def _visit(self, obj):
        if obj.docstring:
            text = ROLE.sub(lambda match: self._link(obj, match[1]), obj.docstring.value)
            obj.docstring.value = RESULT.sub(r'\1: ', text)
        for member in obj.members.values():
            if not member.is_alias:
                self._visit(member)

    @staticmethod
    def _link(obj, name):
        path = find(obj, name)
        code = f'<code>{name}</code>'
        return f'<autoref identifier="{path}" optional>{code}</autoref>' if path else code
