"""One of several processes that train an expert together: python -m codemoe.train.worker JOB."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Train; leave a clear error for the process that started all."""
    import warnings

    warnings.filterwarnings("ignore")  # as in the command line
    import torch

    from codemoe.errors import UserError
    from codemoe.train.expert_job import FAILURE, ExpertJob, run_job
    from codemoe.train.stopping import Stopped

    file = Path(sys.argv[1])
    job = ExpertJob(**json.loads(file.read_text()))
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        run_job(job)
    except Stopped as error:
        raise SystemExit(error.exit_code) from None
    except UserError as error:
        told = {"what": error.what, "fix": error.fix, "exit_code": error.exit_code}
        try:
            with (file.parent / FAILURE).open("x") as failure:
                json.dump(told, failure)
        except FileExistsError:
            pass  # another process was first
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
