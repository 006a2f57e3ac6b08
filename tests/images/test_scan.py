"""The scan for secrets: each kind is planted in a root of its own; what packages ship is none."""

import base64
import hashlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from gpuctl.config.builtin import recipes

SCAN = recipes() / "common/scan.py"
SPEC = importlib.util.spec_from_file_location("scan_of_an_image", SCAN)
scanner = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(scanner)

# In parts, so that this file does not hold what others look for.
AKIA = "AK" + "IAQ3EGRZ7YB2KXLP5M"
SECRET = "aws_secret_access_" + "key = wJalrXUtnFEMIK7MDENGbPxRfiCYzQ3EGRZ7YB2K"
GITHUB = "gh" + "p_" + "a1B2c3D4e5F6" * 3
PAT = "github_" + "pat_" + "a1B2c3D4e5F6" * 6
FACE = "h" + "f_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH"
OPENAI = "s" + "k-proj-" + "a1B2c3D4e5F6g7H8i9J0" + "T3Blbk" + "FJ" + "a1B2c3D4e5F6g7H8i9J0"
NVIDIA = "nv" + "api-" + "a1B2c3D4e5F6g7H8i9J0" * 3
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
KEY = "-----BEGIN RSA PRIVATE " + f"KEY-----\n{BODY}\n"
PUTTY = "-----BEGIN PRIVATE " + f"KEY-----\\n{BODY}\\n"
SERVICE = json.dumps({"type": "service_account", "private_key_id": "0a" * 20, "private_key": "x"})
REFRESH = json.dumps({"refresh_token": "1/" + "/" + "0gAbCdEfGh" * 5})
INDEX = "[global]\nextra-index-" + "url = https://me:passw0rd@packages.example/simple\n"

PLANTED = [
    ("aws", "home/ubuntu/notes.txt", f"key {AKIA} here"),
    ("aws", "root/.aws/credentials", "[default]"),
    ("aws", "etc/environment", SECRET),
    ("github", "home/ubuntu/train.sh", f"export T={GITHUB}"),
    ("github", "opt/app/config.py", f'token = "{PAT}"'),
    ("huggingface", "home/ubuntu/.bashrc", f"export HF_TOKEN={FACE}"),
    ("huggingface", "home/ubuntu/.cache/huggingface/token", "whatever"),
    ("openai", "srv/app/.config.json", OPENAI),
    ("nvidia", "opt/ngc", NVIDIA),
    ("gcp", "home/ubuntu/key.json", SERVICE),
    ("gcp", "home/ubuntu/adc.json", REFRESH),
    ("gcp", "root/.config/gcloud/credentials.db", "x"),
    ("private-key", "home/ubuntu/.ssh/id_rsa", KEY),
    ("private-key", "opt/app/deploy.txt", f"a = '{PUTTY}'"),
    ("netrc", "home/ubuntu/.netrc", "machine x login y password z"),
    ("pypirc", "root/.pypirc", "[pypi]"),
    ("url-password", "etc/xdg/pip/pip.conf", INDEX),
    ("docker", "root/.docker/config.json", "{}"),
    ("git", "home/ubuntu/.git-credentials", "x"),
    ("env", "srv/app/.env", "A=1"),
    ("history", "home/ubuntu/.bash_history", "ls"),
    ("history", "root/.python_history", "1"),
    ("login", "home/ubuntu/.ssh/authorized_keys", "ssh-ed25519 AAAA me"),
    ("host-key", "etc/ssh/ssh_host_ed25519_key", "x"),
    ("host-key", "etc/ssh/ssh_host_ed25519_key.pub", "x"),
    ("cloud-init", "var/lib/cloud/instances/i-0abc/user-data.txt", "#!/bin/sh"),
    ("cloud-init", "var/lib/cloud/seed/nocloud/user-data", "x"),
    ("lease", "etc/gpuctl/lease.json", "{}"),
    ("lease", "etc/systemd/system/gpuctl-deadline.timer", "[Timer]"),
    ("gpuctl", "root/.local/share/gpuctl/ledger.db", "x"),
]


def put(root, inside, text):
    path = root / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def scan(capsys, root, *words):
    code = scanner.main([*words, str(root)])
    return code, *capsys.readouterr()


@pytest.fixture
def found(capsys):
    """What a scan of a root finds, as it tells it in JSON."""

    def look(root, *words):
        code, out, _ = scan(capsys, root, "--json", *words)
        report = json.loads(out)
        assert report["ok"] == (code == 0) == (not report["findings"])
        return [(each["kind"], each["path"]) for each in report["findings"]]

    return look


@pytest.mark.parametrize(("kind", "inside", "text"), PLANTED, ids=lambda value: value[:40])
def test_what_is_planted_is_found_and_never_shown(tmp_path, capsys, found, kind, inside, text):
    put(tmp_path, inside, text)
    put(tmp_path, "home/ubuntu/train.py", "print('nothing to see')")
    code, out, err = scan(capsys, tmp_path)
    assert (code, out) == (1, "")
    assert [line.split() for line in err.splitlines()[:-1]] == [[kind, f"/{inside}"]]
    secret = max(text.split(), key=len, default="")
    assert len(secret) < 12 or secret not in err
    assert found(tmp_path) == [(kind, inside)]


def test_each_kind_of_the_task_is_planted_once():
    kinds = {kind for kind, *_ in PLANTED}
    assert {"aws", "github", "huggingface", "openai", "gcp", "private-key", "netrc"} <= kinds
    assert {"pypirc", "history", "login", "host-key", "cloud-init"} <= kinds


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("opt/doc/aws.md", "AK" + "IAIOSFODNN7EXAMPLE"),
        (
            "opt/doc/secret.md",
            "aws_secret_access_" + "key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("opt/lib/ssh.py", 'if text.startswith("-----BEGIN RSA PRIVATE ' + 'KEY-----"):'),
        ("opt/lib/gh.py", 'PREFIX = "gh' + 'p_"'),
        ("opt/lib/x.py", "task-1234567890123456789012345678901234567890123456"),
        ("opt/lib/word.py", "self.hf_configuration_of_the_model_and_others"),
        ("home/ubuntu/.bash_history", ""),
        ("home/ubuntu/.ssh/id_ed25519.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB me"),
        ("etc/pip.conf", "[global]\nextra-index-" + "url = https" + "://packages.example/simple\n"),
        ("etc/machine-id", "0" * 32),
    ],
)
def test_what_only_looks_like_one_is_none(tmp_path, found, inside, text):
    put(tmp_path, inside, text)
    assert found(tmp_path) == []


def test_data_links_and_what_is_not_of_the_disk_are_left_alone(tmp_path, found):
    (tmp_path / "data.bin").write_bytes(b"\0" + AKIA.encode())
    put(tmp_path, "proc/1/environ", AKIA)
    put(tmp_path, "run/secrets/token", AKIA)
    (tmp_path / "link").symlink_to(put(tmp_path / "proc", "x", AKIA))
    os.mkfifo(tmp_path / "fifo")
    assert found(tmp_path) == []


def test_a_key_deep_in_a_long_text_is_found(tmp_path, found):
    put(tmp_path, "var/log/train.log", "step 1\n" * 100_000 + AKIA + "\n")
    assert found(tmp_path) == [("aws", "var/log/train.log")]


def test_what_a_package_shipped_is_none_until_it_was_changed(tmp_path, found):
    key, settings = put(tmp_path, "usr/share/p/key.pem", KEY), put(tmp_path, "etc/p/key.pem", KEY)
    md5 = hashlib.md5(KEY.encode()).hexdigest()
    put(tmp_path, "var/lib/dpkg/info/p.md5sums", f"{md5}  usr/share/p/key.pem\n")
    put(tmp_path, "var/lib/dpkg/status", f"Package: p\nConffiles:\n /etc/p/key.pem {md5}\n\n")
    assert found(tmp_path) == []
    key.write_text(KEY + "more")
    settings.write_text(KEY + "more")
    kinds = [("private-key", "etc/p/key.pem"), ("private-key", "usr/share/p/key.pem")]
    assert found(tmp_path) == kinds


def test_what_a_wheel_shipped_is_none_until_it_was_changed(tmp_path, found):
    site = "opt/gpuctl/venv/lib/python3.10/site-packages"
    file = put(tmp_path, f"{site}/tornado/test/test.key", KEY)
    digest = base64.urlsafe_b64encode(hashlib.sha256(KEY.encode()).digest()).decode().rstrip("=")
    record = f"tornado/test/test.key,sha256={digest},9\ntornado-6.dist-info/RECORD,,\n"
    put(tmp_path, f"{site}/tornado-6.dist-info/RECORD", record)
    assert found(tmp_path) == []
    file.write_text(KEY + "more")
    assert found(tmp_path) == [("private-key", f"{site}/tornado/test/test.key")]


def test_kinds_that_a_later_step_removes_may_be_left_out(tmp_path, found):
    put(tmp_path, "root/.ssh/authorized_keys", "ssh-ed25519 AAAA me")
    assert found(tmp_path, "--goes", "login,host-key") == []
    assert found(tmp_path, "--goes", "history") == [("login", "root/.ssh/authorized_keys")]


@pytest.mark.parametrize("words", [["--goes", "logins"], ["/no/such/root"]])
def test_wrong_words_are_told_and_nothing_is_scanned(words):
    with pytest.raises(SystemExit, match="2"):
        scanner.main(words)


def test_what_cannot_be_read_is_a_finding(tmp_path, found, monkeypatch):
    put(tmp_path, "locked/x", "x")

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(scanner, "held", refuse)
    assert found(tmp_path) == [("unreadable", "locked/x")]


def test_a_name_cannot_drive_the_terminal(tmp_path, capsys, found):
    put(tmp_path, "root/\x1b[2Jx/.netrc", "x")
    assert "\x1b" not in scan(capsys, tmp_path)[2]
    assert found(tmp_path) == [("netrc", "root/\x1b[2Jx/.netrc")]


def test_it_is_a_program_of_its_own(tmp_path):
    """On the builder there is nothing but Python, and no home directory is looked into."""
    put(tmp_path, "root/.netrc", "x")
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCAN, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("netrc         /root/.netrc\n")
