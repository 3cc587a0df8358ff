"""Bare Debian roots: making them, running programs in them, and measuring what was added to them."""

import gzip
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

SUITE = "bookworm"
# The folders that a running system fills.
VOLATILE = {"proc", "dev", "sys", "run"}
# Variables by which programs find the machine's way to package registries; their values may name the machine's own
# certificates.
NETWORK = ("PIP_", "NPM_CONFIG_", "CARGO_HTTP_", "CARGO_REGISTRIES_", "CARGO_NET_")
CERTIFICATES = (
    "CARGO_HTTP_CAINFO", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)  # fmt: skip
# What Debian's slim image leaves out.
SLIM = """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""

# Enters its own mounts and processes; what it starts ends with it, and nothing stays mounted.
ENTER = r"""
root=$1 mode=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
while [ "$1" != -- ]; do
    case $1 in
        bind) mount --bind "$2" "$root/$3"; [ "$4" = rw ] || mount -o remount,bind,ro "$root/$3" ;;
        tmpfs) mount -t tmpfs -o "$2" tmpfs "$root/$3" ;;
    esac
    shift 4
done
shift
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


def in_root(root, argv, *, env, cwd="/", user=None, mounts=(), readonly=False):
    """The command line that runs a program in a root.

    Mounts are ("bind", FROM, TO, "rw"|"ro") or ("tmpfs", OPTIONS, TO, "").
    """
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--propagation", "private", "--"]
    enter += ["/bin/sh", "-euc", ENTER, "enter", str(root), "ro" if readonly else "rw"]
    for mount in mounts:
        enter += [str(part) for part in mount]
    enter.append("--")
    if user:
        # As Kubernetes does with `drop: [ALL]` and `allowPrivilegeEscalation: false`.
        uid, _, gid = user.partition(":")
        enter += ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs"]
        # Without this, the change of user would make it outlive `unshare`.
        enter += ["--pdeathsig=KILL"]
        enter += ["--bounding-set=-all", "--inh-caps=-all", "--"]
    enter += ["env", "-i", *(f"{key}={value}" for key, value in env.items())]
    return [*enter, "/bin/sh", "-c", 'cd "$0" && exec "$@"', cwd, *argv]


def base(work):
    """A root with what Debian's slim image holds, made once."""
    root = work / "base"
    if root.is_dir():
        return root
    fresh = work / "base.new"
    shutil.rmtree(fresh, ignore_errors=True)
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    ours = sources.read_text() if sources.is_file() else ""
    mirror = next((line.split()[1] for line in ours.splitlines() if line.startswith("URIs:")), "")
    if SUITE not in ours:
        ours = mirror = ""
    command = ["debootstrap", "--variant=minbase", SUITE, str(fresh), *filter(None, [mirror])]
    log = work / "debootstrap.log"
    with log.open("w") as out:
        if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | proxies()).returncode:
            raise SystemExit(f"debootstrap failed, see {log}")
    (fresh / "etc/dpkg/dpkg.cfg.d").mkdir(exist_ok=True)
    (fresh / "etc/dpkg/dpkg.cfg.d/docker").write_text(SLIM)
    for folder in ("groff", "info", "lintian", "linda", "locale", "man"):
        shutil.rmtree(fresh / "usr/share" / folder, ignore_errors=True)
    for file in (fresh / "usr/share/doc").rglob("*"):
        if not file.is_dir() and file.name != "copyright":
            file.unlink()
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for file in (fresh / folder).rglob("*"):
            if file.is_file():
                file.unlink()
    # As the image has it; debootstrap writes one line for its mirror.
    single = fresh / "etc/apt/sources.list"
    mirror = mirror or single.read_text().split()[1]
    key = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
    ours = ours or f"Types: deb\nURIs: {mirror}\nSuites: {SUITE} {SUITE}-updates\nComponents: main\n{key}\n"
    single.unlink()
    (fresh / "etc/apt/sources.list.d/debian.sources").write_text(ours)
    fresh.rename(root)
    return root


def proxies():
    """apt's proxies as other programs want them."""
    found = {}
    for scheme in ("http", "https"):
        key = f"Acquire::{scheme}::Proxy"
        value = subprocess.run(["apt-config", "shell", "x", key], capture_output=True, text=True).stdout
        if value := value.strip().removeprefix("x=").strip("'"):
            found[f"{scheme}_proxy"] = value
    return found


class Borrowed:
    """The machine's way to package registries, in a root for as long as a step runs."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "run/trial"
        self.apt = root / "etc/apt/apt.conf.d/99trial"
        self.cargo = root / ".cargo"

    def __enter__(self):
        self.folder.mkdir(parents=True)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True).stdout
        self.apt.write_text("\n".join(line for line in dump.splitlines() if '"";' not in line) + "\n")
        home = Path.home()
        settings = {
            "pip.conf": [Path("/etc/pip.conf"), home / ".config/pip/pip.conf", home / ".pip/pip.conf"],
            "npmrc": [home / ".npmrc"],
            "ca.crt": [Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))],
        }
        for name, files in settings.items():
            texts = [file.read_text() for file in files if file.is_file()]
            (self.folder / name).write_text("\n".join(texts))
        cargo = Path(os.environ.get("CARGO_HOME", home / ".cargo")) / "config.toml"
        if cargo.is_file():
            self.cargo.mkdir()
            shutil.copy(cargo, self.cargo)
        return {"PIP_CONFIG_FILE": "/run/trial/pip.conf", "NPM_CONFIG_USERCONFIG": "/run/trial/npmrc", **variables()}

    def __exit__(self, *_):
        shutil.rmtree(self.folder)
        shutil.rmtree(self.cargo, ignore_errors=True)
        self.apt.unlink()


def variables():
    """The variables that lead to registries, with their certificates where the root has them."""
    found = {}
    for name, value in os.environ.items():
        if name.upper() in CERTIFICATES:
            continue
        if name.upper().startswith(NETWORK) or name.lower().endswith("_proxy"):
            found[name] = value
    found.pop("PIP_FIND_LINKS", None)  # a folder of this machine
    return found | dict.fromkeys(CERTIFICATES, "/run/trial/ca.crt") | proxies()


def snapshot(root):
    """What lies in a root, by path, in a form that tells whether it has changed."""
    found = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == Path(root):
            folders[:] = [name for name in folders if name not in VOLATILE]
        for name in [*files, *folders]:
            path = os.path.join(folder, name)
            stat = os.lstat(path)
            is_folder = os.path.isdir(path) and not os.path.islink(path)
            # A folder changes with what is in it.
            times = () if is_folder else (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            found[os.path.relpath(path, root)] = (stat.st_mode, stat.st_uid, *times)
    return found


def measure(root, before, after):
    """Size of the files that are new or changed, in bytes: as they are, and as a compressed layer."""
    changed = sorted(path for path, state in after.items() if before.get(path) != state)
    counter = Counter()
    with (
        gzip.GzipFile(fileobj=counter, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as layer,
    ):
        for path in changed:
            layer.add(os.path.join(root, path), arcname=path, recursive=False)
    stats = [os.lstat(os.path.join(root, path)) for path in changed]
    sizes = {stat.st_ino: stat.st_size for stat in stats if (stat.st_mode & 0o170000) == 0o100000}
    return sum(sizes.values()), counter.bytes


class Counter:
    """A file that keeps nothing but its length."""

    bytes = 0

    def write(self, data):
        self.bytes += len(data)
        return len(data)

    def flush(self):
        pass
