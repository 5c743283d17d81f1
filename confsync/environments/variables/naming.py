"""What a key is called as an environment variable.

`api/url` is API_URL, `db#password` DB_PASSWORD: upper case, and `_` for every separator. `keys: {api/url: {variable:
BACKEND}}` calls it otherwise. Only there may a name be one that programs act upon: who writes the configuration decides
what runs on a laptop, not whoever may write a key.
"""

from __future__ import annotations

import re
import unicodedata

from confsync.render.formats.names import VARIABLE
from confsync.text import printable

_SEPARATORS = re.compile(r"[/.#: -]")
_OTHERS = re.compile(r"[^A-Z0-9_]+")

# A shell, the loader of programs, an interpreter or a usual tool acts on these, whatever a key of that name was meant
# for. With PATH=/api no program is found; with LD_PRELOAD, NODE_OPTIONS or GIT_SSH_COMMAND whoever may write a key of
# the store runs code on the laptops of all who use its values. Whole families, because nobody waits for their next
# member. See bash(1) "Shell Variables", ld.so(8), git(1) "Environment Variables", python(1), node(1), perlrun(1),
# ruby(1), and environ(7) for those of many programs.
_ACTED_UPON = re.compile(
    r"""
    # shells
      PATH | CDPATH | FPATH | MODULE_PATH | PSMODULEPATH | PATHEXT | COMSPEC | ENV | ZDOTDIR | INPUTRC | IFS | PS[0-4]
    | PROMPT_COMMAND | R?PROMPT2? | PROMPT[34] | SPROMPT | RPS[12] | (READ)?NULLCMD | S?RANDOM | OPTIND | HISTCMD
    | SHELL | SHELLOPTS | BASHOPTS | BASH_.* | FCEDIT | HISTFILE
    # the loader and the C library
    | (LD|DYLD|MALLOC)_.* | LIBPATH | SHLIB_PATH | GLIBC_TUNABLES | GCONV_PATH | LOCPATH | NLSPATH | HOSTALIASES
    | RES_OPTIONS | TERMINFO.* | TERMCAP
    # interpreters
    | (PYTHON|PERL5|RUBY).* | NODE_(?!ENV$).*
    | (DENO|BUN|JAVA|JDK|DOTNET|CORECLR|LUA|PHP|ERL|ELECTRON)_.*
    | _JAVA_OPTIONS | CLASSPATH | PERLLIB | PHPRC | TCLLIBPATH | R_PROFILE(_USER)?
    # what builds and installs programs
    | (NPM_CONFIG|PIP|UV|BUNDLE|GEM|COMPOSER|YARN|MAVEN|GRADLE|CARGO)_.* | RUST(C|DOC|FLAGS).*
    | GO(FLAGS|ROOT|PATH|PROXY|ENV) | MAKEFLAGS | MAKEFILES | GNUMAKEFLAGS
    # usual tools: what they start, and where they are told what to do
    | GIT_.* | (SSH|SUDO)_ASKPASS | SSH_AUTH_SOCK | GNUPGHOME | SVN_SSH | (CVS|RSYNC)_RSH | RSYNC_CONNECT_PROG
    | TAR_OPTIONS | ((PSQL|SVN|HG)_?)?EDITOR | (MAN|PSQL_|SYSTEMD_|AWS_|BAT_)?PAGER | VISUAL | BROWSER
    | LESS(OPEN|CLOSE|KEY)? | VIMINIT | EXINIT | VIMRUNTIME | CURL_HOME | WGETRC | OPENSSL_(CONF|ENGINES|MODULES)
    | KUBECONFIG | DOCKER_(HOST|CONFIG) | CONFSYNC_.*
    # every program: where its files are, and through whom it speaks
    | HOME | XDG_.* | TMPDIR | TMP | TEMP | DBUS_.* | (HTTP|HTTPS|FTP|ALL|NO)_PROXY
    """,
    re.VERBOSE,
)


def variable_name(path: str) -> str:
    """The name of the variable for the key at `path`.

    Raises:
        ValueError: the rule gives no name that can be used; says why.
    """
    name = _SEPARATORS.sub("_", path)
    if not VARIABLE.fullmatch(name):  # before it is upper case: that of `ß` is `SS`
        raise ValueError(
            f"{printable(name.upper())} is no name for a variable: letters, digits and _ only, and no digit first"
        )
    upper = name.upper()
    if _ACTED_UPON.fullmatch(upper):
        raise ValueError(
            f"{upper} is a variable that shells and programs act upon (`variable: {upper}` says it is meant)"
        )
    return upper


def suggested_name(path: str) -> str:
    """A name that can be used, as like that of `path` as may be."""
    plain = unicodedata.normalize("NFKD", _SEPARATORS.sub("_", path).upper())
    name = _OTHERS.sub("_", "".join(char for char in plain if not unicodedata.combining(char)))
    if not name.strip("_"):
        return "NAME"
    if _ACTED_UPON.fullmatch(name):
        return f"APP_{name}"
    return f"_{name}" if name[0].isdigit() else name
