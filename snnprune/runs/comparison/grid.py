"""The grid of a comparison: runs that are missing are carried out, in several processes."""

import argparse
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
from tqdm import tqdm

from ...errors import InputError, Stopped, printable
from ...options import Count, check
from ...training import RunFolder
from ..config import Config, Runtime
from ..guard import Terminated
from ..run import execute
from .protocol import Protocol, Run
from .results import write_results
from .verdict import Result

# (protocol, results) -> further lines of the page
Remarks = Callable[[Protocol, Sequence[Result]], list[str]]


def run_grid(
    protocol: Protocol,
    options: argparse.Namespace,
    *,
    script: str,
    suffix: str,
    remarks: Remarks = lambda protocol, results: [],
) -> list[Result]:
    """Run what is missing of a protocol, write what there is, print it, and return it.

    Args:
        protocol: what to compare.
        options: of `add_options`.
        script: and its own options, as they are called again for the same results.
        suffix: of the results' name where --results is not given.
        remarks: what else is to be said in the Markdown, from protocol and results.

    Raises:
        InputError: a folder holds another run, or runs failed (the others are written).
        Stopped: by Ctrl-C.
    """
    check("--jobs", options.jobs, Count)
    out = Path(options.out or Path("runs") / Path(options.protocol).stem)
    runs = list(protocol.runs(out))
    try:
        failures = run_all(runs, options)
    except (Stopped, KeyboardInterrupt) as error:
        raise Stopped("stopped; what is done is kept: the same command goes on") from error
    results = [Result.of(run) for run in runs if (run.folder / "summary.json").is_file()]
    if not results:
        raise InputError("no run succeeded:", *failures)
    command = f"python -m experiments.{script} {options.protocol}"
    path = Path(options.results or out / suffix)
    page = write_results(path, protocol, results, command=command, remarks=remarks(protocol, results))
    print(printable(page, keep="\n"))
    if failures:
        missing = len(runs) - len(results)
        raise InputError(f"{missing} of {len(runs)} runs failed and are not in the table:", *failures)
    return results


def run_all(runs: list[Run], options: argparse.Namespace) -> list[str]:
    """Carry out what is missing, and tell what failed.

    Args:
        runs: of one protocol or more.
        options: of `add_options`.
    """
    missing = [run for run in runs if not _done(run)]
    failures = []
    # Runs that take another's connectivity come after all others.
    waves = [[run for run in missing if (run.after is None) == first] for first in (True, False)]
    with tqdm(total=len(runs), initial=len(runs) - len(missing), unit="run", dynamic_ncols=True) as bar:
        try:
            for run, error in (outcome for wave in waves for outcome in _outcomes(wave, options)):
                if error is not None:
                    failures.append(f"{run.folder}: {error}")
                bar.set_postfix_str(f"{run.side}/{run.folder.name}", refresh=False)
                bar.update()
        except BrokenProcessPool:
            failures.append(
                "a process that carried out runs has died (killed, or out of memory): the same command goes on"
            )
    return failures


def _outcomes(runs: list[Run], options: argparse.Namespace) -> Iterator[tuple[Run, str | None]]:
    """Each run with what went wrong with it, as they end."""
    if options.jobs == 1 or len(runs) < 2:
        for run in runs:
            yield run, _carry_out(run, options)
        return
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(options.jobs, context, initializer=_start_worker, initargs=(threads, stop))
    try:
        futures: dict[Future, Run] = {pool.submit(_carry_out, run, options): run for run in runs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except Terminated:  # unlike Ctrl-C, it reaches this process alone
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGINT)
        raise
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


# Set once no further run is to be started; a pool hands its workers more than they have begun.
_stop: Event | None = None


def _start_worker(threads: int, stop: Event) -> None:
    global _stop
    _stop = stop
    torch.set_num_threads(threads)
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent has ended, however that happened; a run's last checkpoint is kept."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _carry_out(run: Run, options: argparse.Namespace) -> str | None:
    """One run, or the rest of it; returns what is wrong with it, if anything."""
    if _stop is not None and _stop.is_set():
        raise Stopped
    if run.after is not None and not (run.after / "connectivity.safetensors").is_file():
        return f"{run.after} has no connectivity: that run failed"
    runtime = Runtime(
        out=str(run.folder),
        resume=(run.folder / "config.json").is_file(),
        device=options.device,
        data_root=options.data_root,
        compile=options.compile,
        quiet=True,
    )
    try:
        execute(run.config, runtime)
    except (Stopped, KeyboardInterrupt):
        raise
    except InputError as error:
        return str(error)
    except Exception as error:  # a device out of memory, say: what is wrong with one run is not the others' trouble
        return f"{type(error).__name__}: {error}"
    finally:
        torch.compiler.reset()  # or the next network of this kind would count as one shape too many, and run eagerly
    return None


def _done(run: Run) -> bool:
    """Whether a run is complete.

    Raises:
        InputError: its folder holds a run with other options, or a damaged one.
    """
    folder = RunFolder(run.folder)
    if not (folder.path / "config.json").is_file():
        return False
    if different := run.config.different(Config.from_json(folder.read_json("config.json"))):
        raise InputError(
            f"{run.folder} holds a run with other {', '.join(different)}: choose another --out, or remove it"
        )
    if not (folder.path / "summary.json").is_file():
        return False
    Result.of(run)  # a damaged summary is found now, and not when all runs are done
    return True
