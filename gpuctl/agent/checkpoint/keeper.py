"""Runs a job and saves its checkpoints: every interval, and when the machine is about to end.

It is the job's parent, so that the job has not ended before its last checkpoint is safe. It
never ends the machine: an EC2 spot machine that AWS interrupts in its first hour is free, one
that ends itself is not.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from gpuctl.agent.checkpoint.directory import Complete, Renames, Survey, survey
from gpuctl.agent.checkpoint.directory import empty as is_empty
from gpuctl.agent.checkpoint.notices import HOOK_S, NOTICE_S, UPLOAD_S, End, Notices
from gpuctl.agent.checkpoint.restore import restore
from gpuctl.agent.checkpoint.save import Cancelled, Changed, Saver
from gpuctl.agent.checkpoint.settings import Settings, home
from gpuctl.agent.checkpoint.shelf import Shelf
from gpuctl.agent.checkpoint.tree import fetch_tree, save_tree, tree_root
from gpuctl.core.checkpoints import Damaged, Manifest, found

FAILED = 125
"""The exit code that says that not the job failed."""
RETRY_S = 30.0
DOUBT_S = 10.0
"""A directory that is not complete for so long will hardly become so: that is told."""
PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def say(text: str) -> None:
    """Into the job's log, where whoever follows it sees it."""
    print("gpuctl: " + text, file=sys.stderr, flush=True)


def size_of(count: float) -> str:
    """`1.2 GB`, as clouds count."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - metric
            return "%.3g %s" % (count, unit)
        count /= 1000
    return "%.1f GB" % count


def utc_text(at: float) -> str:
    """Seconds since 1970 as RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def told(manifest: Manifest) -> str:
    """One checkpoint in words."""
    step = "" if manifest.step is None else "step %d, " % manifest.step
    return "%s (%s%s)" % (manifest.name, step, size_of(manifest.size))


class Keeper:
    """One job's."""

    def __init__(self, settings: Settings, shelf: Shelf, notices: Notices) -> None:
        self.settings = settings
        self.shelf = shelf
        self.notices = notices
        self.folder = os.path.abspath(os.path.expanduser(settings.dir))
        self.saver = Saver(
            shelf,
            settings.root,
            settings.job,
            settings.lease,
            part=settings.part,
            workers=settings.workers,
            now=notices.now,
        )
        self.own = os.path.join(home(), settings.job)
        self.restored: str | None = None
        self.saved: Manifest | None = None
        self.stamp: tuple[int, int, int] | None = None
        self.error: str | None = None
        self.seen = Survey([], {})
        self.work: threading.Thread | None = None
        self.saving: Complete | None = None
        self.next_save = 0.0
        self.hinted: set[str] = set()
        self.warned = 0
        self.doubted: dict[str, tuple[str, float]] = {}
        self.end: End | None = None
        self.hook_until = 0.0
        self.hook: subprocess.Popen[bytes] | None = None
        self.stamp_at_notice: tuple[int, int, int] | None = None
        self.signalled = False
        self.computed_until = ""
        self.job: subprocess.Popen[bytes] | None = None

    # --- before the job -----------------------------------------------------------------------

    def prepare(self) -> int:
        """Make the directory, look into the store, restore. 0, or the exit code to end with."""
        os.makedirs(self.own, exist_ok=True)
        self.lock = open(os.path.join(self.own, "lock"), "w")  # noqa: SIM115 - held to the end
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another job on this machine saves its checkpoints as %s" % self.settings.job)
            return FAILED
        try:
            self.tree()
            os.makedirs(self.folder, exist_ok=True)
            self.renames = Renames(self.folder)
            self.begin()
        except (Damaged, OSError) as error:
            say("the job is not started: %s" % error)
            if isinstance(error, PermissionError):
                say("docs/jobs.md names the rights that the machine needs in its bucket")
            else:
                say("to begin without its checkpoints: gpuctl run --no-restore")
            self.write_state()
            return FAILED
        return 0

    def tree(self) -> None:
        """Have the job's tree from the store, or keep it there for legs on other machines."""
        settings = self.settings
        if settings.tree is None:
            return
        root = tree_root(settings.root, settings.tree)
        if settings.fetch:
            say("fetched the tree: %d files" % fetch_tree(self.shelf, root, self.own, say))
            return
        try:
            lease = settings.lease
            said = save_tree(self.shelf, root, settings.job, lease, self.own, self.folder)
        except PermissionError:
            raise
        except Exception as error:  # noqa: BLE001 - the job itself can do without
            said = "the tree is not kept: %s; another computer cannot go on with the job" % error
        say(said)

    def begin(self) -> None:
        """Restore where there is nothing; what lies there otherwise is the job's own."""
        settings = self.settings
        if settings.restore and is_empty(self.folder):
            manifest = restore(self.shelf, settings.root, self.folder, say)
            if manifest is None:
                say("no checkpoint of %s to restore: it begins anew" % settings.job)
                return
            self.restored, self.saved = manifest.name, manifest
            say(
                "restored %s into %s, saved %s, checkpoint %d"
                % (told(manifest), settings.dir, manifest.saved_at, manifest.sequence)
            )
            newest = self.look()
            self.stamp = newest.stamp if newest is not None else None
            self.warn(manifest)
        else:
            found(self.shelf, settings.root)  # whether the store can be asked at all
            why = "is not empty" if settings.restore else "is left as it is"
            say("nothing is restored: %s %s" % (settings.dir, why))

    def warn(self, manifest: Manifest) -> None:
        """Say beforehand that it cannot be saved within a notice; again when it has doubled."""
        needs = manifest.size / manifest.rate
        cloud = self.settings.cloud
        if needs <= UPLOAD_S[cloud] or manifest.size < 2 * self.warned:
            return
        self.warned = manifest.size
        say(
            "warning: saving %s took %.0f s at %s/s; of a notice of %.0f s about %.0f s are left "
            "for that. What is lost then is the work since the last checkpoint before it"
            % (told(manifest), needs, size_of(manifest.rate), NOTICE_S[cloud], UPLOAD_S[cloud])
        )

    # --- the job ------------------------------------------------------------------------------

    def run(self, argv: Sequence[str]) -> int:
        """The job from its beginning to its last checkpoint; its exit code."""
        code = self.prepare()
        if code:
            return code
        for number in PASSED_ON:
            # A handler, for what is ignored would be ignored by the job, too.
            signal.signal(number, lambda *_: None)
        environ = dict(os.environ, GPUCTL_CHECKPOINTS=self.folder)
        try:
            self.job = subprocess.Popen(list(argv), env=environ)
        except OSError as error:
            say("%s cannot be run: %s" % (argv[0], error))
            return 127
        while self.job.poll() is None:
            self.guarded()
            time.sleep(self.settings.tick_s)
        self.computed_until = utc_text(self.notices.now())
        self.last()
        code = self.job.returncode
        code = code if code >= 0 else 128 - code
        self.tell_code(code)
        return code

    def tell_code(self, code: int) -> None:
        """Into the store: whoever cannot reach this machine learns there that the job ended."""
        if not self.signalled and not self.tell("code", "%d" % code):
            say("that the job ended with %d was not stored" % code)

    def tell(self, what: str, text: str) -> bool:
        """Beside the job's tree, for whoever goes on with it; True where nobody does."""
        settings = self.settings
        if settings.tree is None:
            return True
        key = "%s/tree-%s/%s-%s" % (settings.root, settings.tree, what, settings.lease or "none")
        try:
            self.shelf.create(key, b"%s\n" % text.encode())
        except OSError:
            return False
        return True

    def guarded(self) -> None:
        """One look; whatever goes wrong in it does not end the job."""
        try:
            self.tick()
        except Exception as error:  # noqa: BLE001 - a keeper that dies takes the job with it
            self.fail("%r" % error)

    def tick(self) -> None:
        """Look at the notices, then at what is to be saved."""
        now = self.notices.now()
        ends = self.notices.look()
        coming = [end for end in ends if end.at is not None]
        soonest = min(coming, key=lambda end: end.at or 0.0) if coming else None
        notice = NOTICE_S[self.settings.cloud] + 5
        if soonest is not None and (soonest.at or 0) - now <= notice:
            self.ending(soonest)
        elif self.end is not None:
            say("%s was taken back" % self.end.kind)
            self.end = None
        for end in ends:
            if self.end is None and end.kind not in ("idle", "deadline"):
                self.hint(end)
        self.save_if_due()

    def save_if_due(self, *, at_once: bool = False) -> None:
        """Begin an upload when there is something new and it is time."""
        newest = self.look()
        if newest is None or newest.stamp == self.stamp:
            return
        busy = self.work is not None and self.work.is_alive()
        if busy:
            if self.end is not None and self.saving is not None:
                self.make_room(newest)
            return
        if at_once or self.end is not None or time.monotonic() >= self.next_save:
            self.start(newest)

    def look(self) -> Complete | None:
        """The newest complete checkpoint; what stays in doubt is told once."""
        self.seen = survey(self.folder, self.renames.seen())
        self.tell_others(DOUBT_S)
        return self.seen.newest

    def tell_others(self, after: float) -> None:
        """Say what does not count, once, when it stays so."""
        now = time.monotonic()
        for name, why in self.seen.others.items():
            before, since = self.doubted.get(name, ("", now))
            if before != why:
                since = now
            if now - since >= after:
                say("%s does not count as a checkpoint: %s" % (name, why))
                since = float("inf")
            self.doubted[name] = (why, since)

    # --- saving -------------------------------------------------------------------------------

    def start(self, one: Complete) -> None:
        """Upload it, beside the loop, which must go on listening."""
        self.saving = one
        self.next_save = time.monotonic() + self.settings.interval_s
        self.work = threading.Thread(target=self.save, args=(one,), daemon=True)
        self.work.start()

    def save(self, one: Complete) -> None:
        """One upload, and the removal of what is older then."""
        try:
            manifest = self.saver.save(one, renamed=one.name in self.renames.names)
        except Changed as changed:
            self.error = str(changed)
            self.next_save = time.monotonic()
            return
        except Cancelled:
            self.next_save = 0.0
            return
        except Exception as error:  # noqa: BLE001 - told, and tried again
            self.fail("%s was not saved: %s" % (one.name, error))
            self.next_save = time.monotonic() + min(RETRY_S, self.settings.interval_s)
            return
        self.saved, self.stamp, self.error = manifest, one.stamp, None
        say(
            "saved %s as checkpoint %d in %.1f s"
            % (told(manifest), manifest.sequence, manifest.milliseconds / 1000)
        )
        self.warn(manifest)
        self.write_state()
        if self.end is None:
            try:
                self.saver.tidy()
            except OSError as error:
                self.fail("older checkpoints were not removed: %s" % error)

    def make_room(self, newer: Complete) -> None:
        """Give up an upload when only without it the newer one arrives in time."""
        if self.saving is None or newer.stamp == self.saving.stamp or self.end is None:
            return
        rate = self.saved.rate if self.saved is not None else 50e6
        left = (self.end.at or 0) - self.notices.now() - 3
        rest = max(self.saver.total - self.saver.sent, 0)
        if (rest + newer.size) / rate > left >= newer.size / rate:
            say("giving %s up for %s" % (self.saving.name, newer.name))
            self.saver.cancelled = True

    def fail(self, text: str) -> None:
        """Told once, and kept for whoever asks."""
        if text != self.error:
            say(text)
        self.error = text
        self.write_state()

    # --- notices ------------------------------------------------------------------------------

    def hint(self, end: End) -> None:
        """A rebalance recommendation, or an end that is far: save now, and go on."""
        key = "%s %s" % (end.kind, end.at)
        if key in self.hinted:
            return
        self.hinted.add(key)
        say("the cloud may take this machine back (%s): saving now" % end.kind)
        self.stamp_at_notice = self.seen.newest.stamp if self.seen.newest else None
        if self.settings.command is not None:
            self.run_hook(end, HOOK_S[self.settings.cloud])
        self.next_save = 0.0

    def ending(self, end: End) -> None:
        """The machine ends within the notice: make the job save itself, then upload."""
        if self.end is not None:
            return
        self.end = end
        left = (end.at or 0) - self.notices.now()
        say("this machine ends in %.0f s (%s): saving now" % (max(left, 0), end.kind))
        self.write_state()
        limit = max(1.0, min(HOOK_S[self.settings.cloud], left - UPLOAD_S[self.settings.cloud]))
        self.hook_until = time.monotonic() + limit
        if self.settings.command is not None:
            self.run_hook(end, limit)
        elif self.job is not None and self.job.poll() is None:
            number = getattr(signal, self.settings.signal)
            self.signalled = True
            # To its children, too: a shell passes nothing on. The keeper's own handlers take it.
            os.killpg(os.getpgid(self.job.pid), number)

    def run_hook(self, end: End, limit: float) -> None:
        """The user's command, for a bounded time; the loop goes on meanwhile."""
        environ = dict(os.environ, GPUCTL_NOTICE=end.kind, GPUCTL_CHECKPOINTS=self.folder)
        try:
            self.hook = subprocess.Popen(
                ["/bin/sh", "-c", self.settings.command or ":"],
                env=environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self.fail("the command cannot be run: %s" % error)
            return
        hook = self.hook
        threading.Thread(target=stop_after, args=(hook, limit), daemon=True).start()

    # --- after the job ------------------------------------------------------------------------

    def last(self) -> None:
        """Whatever is complete and not saved yet; then wait for a machine that is taken back.

        Were the job to end before its machine does, somebody might end the machine for it.
        """
        tries = 3
        while tries:
            if self.work is not None:
                self.work.join()
            newest = self.look()
            if newest is None or newest.stamp == self.stamp:
                break
            self.start(newest)
            tries -= 1
        if self.work is not None:
            self.work.join()
        self.tell_others(0.0)
        if self.error is not None:
            say("the last checkpoint is not safe: %s" % self.error)
        self.write_state()
        if self.end is not None:
            # Until its machine ends nothing is computed that could be lost.
            self.tell("ended", self.computed_until)
        if self.signalled or self.job is None or self.job.returncode != 0:
            self.outlast()

    def outlast(self) -> None:
        """Wait for the end of a machine that is taken back, unless it is not taken after all."""
        if self.end is not None:
            say("the job has ended; its machine is about to")
        while self.end is not None and self.end.kind in ("spot", "preempted"):
            if self.notices.now() > (self.end.at or 0) + NOTICE_S["aws"]:
                return
            time.sleep(self.settings.tick_s)
            kinds = [end.kind for end in self.notices.look()]
            if self.end.kind not in kinds:
                return

    # --- what is told -------------------------------------------------------------------------

    def write_state(self) -> None:
        """For `gpuctl` and people, replaced in one step."""
        saved = self.saved
        state = {
            "job": self.settings.job,
            "time": utc_text(self.notices.now()),
            "restored": self.restored,
            "saved": None if saved is None else saved.sequence,
            "step": None if saved is None else saved.step,
            "size": None if saved is None else saved.size,
            "bytes_a_second": None if saved is None else int(saved.rate),
            "notice": None if self.end is None else self.end.kind,
            "error": self.error,
            "others": self.seen.others,
        }
        path = os.path.join(self.own, "state.json")
        try:
            with open(path + ".new", "w") as file:
                file.write(json.dumps(state) + "\n")
            os.replace(path + ".new", path)
        except OSError as error:
            print("gpuctl: %s" % error, file=sys.stderr)


def stop_after(process: subprocess.Popen[bytes], limit: float) -> None:
    """End it with its children when it takes longer."""
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        say("the command was stopped after %.0f s" % limit)
    else:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            continue
