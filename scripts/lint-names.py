#!/usr/bin/env python3
"""Checks names and calls over src/ and include/leakhunt/, by text:

- a public name is used by a module other than the one that declares it
- a static function has a name of several words, unique in the tree
- calls between files make no circle

`--figures` prints a table of files and counts instead. Exit 1 when something is wrong.
"""
import collections
import pathlib
import re
import sys

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
FUNCTION = re.compile(r'^(?P<head>[A-Za-z_][^\n;={}()]*?)\b(?P<name>\w+)\((?:[^;{}]*)\)\s*\n\{', re.M)
STATIC = re.compile(r'^(?:static|LH_\w+ static)\b')
# Modules of headers that are not named after their module.
OWNER = {**dict.fromkeys(['process', 'process_memory', 'process_table', 'regions', 'pages', 'modules', 'tasks', 'limits', 'holdings'], 'proc'),
         'bits': 'base', 'hash_table': 'base', 'json': 'base', 'json_pull': 'base', 'gap': 'base', 'threads': 'base', 'fault_point': 'base', 'format': 'dump', 'owner': 'proc', 'unwind': 'symbols'}
PUBLIC_NAME = re.compile(r'\b(?:lh|LH)_\w+')


def read(path):
    """The text without comments and strings; line ends stay."""
    return COMMENT.sub(lambda m: ('' if m.group()[0] == '/' else '""') + '\n' * m.group().count('\n'), path.read_text())


def module_of(path):
    return path.parts[1]


def declarations(text):
    """The top-level declarations of a header: text of each, cut at depth 0."""
    text = re.sub(r'^#define (\w+)((?:\\\n|[^\n])*)', r'@\1 \2;', text, flags=re.M)
    text = re.sub(r'^#.*$', '', text, flags=re.M)
    depth = 0
    start = 0
    for at, char in enumerate(text):
        if char in '({[':
            depth += 1
        elif char in ')}]':
            depth -= 1
            # A static inline function has no semicolon behind its body.
            if char == '}' and depth == 0 and re.search(r'\bstatic inline\b', text[start:at].split('{')[0]):
                yield text[start:at + 1]
                start = at + 1
        elif char == ';' and depth == 0:
            yield text[start:at + 1]
            start = at + 1


def declared_names(declaration):
    """The names that a declaration gives: a macro, a tag with its values, a type, a function, an object."""
    body = declaration.strip()
    macro = re.match(r'@((?:lh|LH)_\w+)', body)
    if macro:
        return {macro.group(1)}
    tag = re.match(r'(?:typedef\s+)?(struct|union|enum)\s*(lh_\w+)?\s*\{', body)
    if tag:
        names = {tag.group(2)} if tag.group(2) else set()
        if tag.group(1) == 'enum':
            names |= set(re.findall(r'\b(LH_\w+)\b(?=\s*(?:=|,|\}))', body))
        after = body[body.rindex('}'):]
        return names | set(PUBLIC_NAME.findall(after))
    forward = re.fullmatch(r'(?:struct|union|enum)\s+(lh_\w+);', body)
    if forward:
        return set()
    function = re.search(r'\b(lh_\w+)\s*\(', re.sub(r'__attribute__\(\(.*?\)\)\)?', '', body, flags=re.S))
    pointer = re.match(r'typedef\b.*?\(?\*?\b(lh_\w+)\)?\s*\(', body, re.S)
    if pointer:
        return {pointer.group(1)}
    if function:
        return {function.group(1)}
    return set(PUBLIC_NAME.findall(body)[-1:])


class Tree:
    def __init__(self):
        self.text = {path: read(path) for path in sorted(pathlib.Path('src').rglob('*.[ch]'))}
        self.headers = {path: read(path) for path in sorted(pathlib.Path('include/leakhunt').glob('*.h'))}
        self.words = {path: set(PUBLIC_NAME.findall(text)) for path, text in self.text.items()}
        self.modules_of_name = collections.defaultdict(set)
        for path, words in self.words.items():
            for word in words:
                self.modules_of_name[word].add(module_of(path))

    def private_names(self):
        """Public declarations that no module but their own uses: (header, names)."""
        units = []
        for header, text in self.headers.items():
            for declaration in declarations(text):
                names = declared_names(declaration)
                if names:
                    units.append((header, names, set(PUBLIC_NAME.findall(declaration))))
        # What a used declaration mentions is used with it.
        modules = [set().union(*(self.modules_of_name[name] for name in names)) for _, names, _ in units]
        changed = True
        by_name = collections.defaultdict(list)
        for index, (_, names, _) in enumerate(units):
            for name in names:
                by_name[name].append(index)
        while changed:
            changed = False
            for index, (_, _, mentioned) in enumerate(units):
                for other in {o for name in mentioned for o in by_name[name]}:
                    if not modules[index] <= modules[other]:
                        modules[other] |= modules[index]
                        changed = True
        return [(header, sorted(names)) for (header, names, _), used in zip(units, modules)
                if not used - {OWNER.get(header.stem, header.stem)}]

    def functions(self):
        for path, text in self.text.items():
            for match in FUNCTION.finditer(text):
                line = text.count('\n', 0, match.start()) + 1
                yield path, line, match.group('name'), bool(STATIC.match(match.group('head')))

    def statics(self):
        files = collections.defaultdict(list)
        for path, line, name, static in self.functions():
            if static:
                files[name].append(f'{path}:{line}')
        return files

    def circles(self):
        """Sets of files of which each reaches each other one by calls."""
        owner = {name: path for path, _, name, static in self.functions() if not static}
        calls = collections.defaultdict(dict)
        for path, words in self.words.items():
            if path.suffix == '.c':
                for word in words:
                    if word in owner and owner[word] != path:
                        calls[path].setdefault(owner[word], []).append(word)
        return [(circle, calls) for circle in components(calls)]


def components(edges):
    """Tarjan's strongly connected components of more than one node."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while True:
                part.append(stack.pop())
                on_stack.discard(part[-1])
                if part[-1] == node:
                    break
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def print_figures(tree, rows):
    """A table for a closing note; lines of code are those that are not blank, without comments."""
    folders = collections.Counter(path.parent for path in [*tree.text, *tree.headers])
    lines = collections.Counter()
    for path, text in [*tree.text.items(), *tree.headers.items()]:
        lines[path.parent] += sum(1 for line in text.split('\n') if line.strip())
    print(f'{"folder":<28} {"files":>6} {"lines of code":>14}')
    for folder, count in sorted(folders.items()):
        print(f'{str(folder):<28} {count:>6} {lines[folder]:>14,}')
    print(f'{"all":<28} {sum(folders.values()):>6} {sum(lines.values()):>14,}')
    print(f'\nlargest folder: {max(folders.values())} files')
    for what, number in rows:
        print(f'{what}: {number}')


def main():
    sys.setrecursionlimit(10000)
    tree = Tree()
    private, statics, circles = tree.private_names(), tree.statics(), tree.circles()
    one_word = {name: at for name, at in statics.items() if '_' not in name}
    shared = {name: at for name, at in statics.items() if len({place.split(':')[0] for place in at}) > 1}
    if '--figures' in sys.argv:
        print_figures(tree, [
            ('circles of calls', len(circles)),
            ('public declarations that only their own module uses', len(private)),
            ('static functions of one word', sum(map(len, one_word.values()))),
            ('static functions of a name that another file has', sum(map(len, shared.values()))),
        ])
        return 0
    for header, names in private:
        print(f'{header}: only its own module uses {" ".join(names)}')
    for name, at in sorted(one_word.items()):
        print(f'{at[0]}: the static function {name} needs a verb and an object')
    for name, at in sorted(shared.items()):
        print(f'{at[0]}: the static function {name} is also in {" ".join(at[1:])}')
    for circle, calls in circles:
        print('files call each other in a circle:')
        for path in circle:
            for other in circle:
                if other in calls[path]:
                    print(f'    {path} -> {other}: {" ".join(sorted(calls[path][other]))}')
    return 1 if private or one_word or shared or circles else 0


if __name__ == '__main__':
    sys.exit(main())
