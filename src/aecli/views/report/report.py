"""The report: one HTML file of a study or of a run, and the study's figures as PNG.

Everything is read from the folder of the study or the run; the pictures need its images, the rest does not.
"""

from pathlib import Path

from aecli.core.files import write_text
from aecli.runs.run import Run
from aecli.studies.study import Study


def write_study_report(study: Study, output: Path | None = None) -> Path:
    """Write the page of a study, by default into its folder together with its plots; return the page's path.

    Raises RunError where the folder holds no results. Pictures of reconstructions are left out, with a word,
    where the images have changed or are gone.
    """
    from aecli.views.report.page import render
    from aecli.views.report.study_data import load_study
    from aecli.views.report.study_page import study_page

    page = study_page(load_study(study))
    path = study.report_file if output is None else output
    write_text(path, render(page))
    if output is None:
        from aecli.views.report.charts.save import save_figure, save_gallery

        study.plots_folder.mkdir(exist_ok=True)
        for figure in page.plots:
            save_figure(figure, study.plots_folder / f"{figure.name}.png")
        if page.gallery is not None:
            save_gallery(page.gallery, study.plots_folder / "reconstructions.png")
            save_gallery(page.gallery, study.plots_folder / "errors.png", errors=True)
    return path


def write_run_report(run: Run, output: Path | None = None) -> Path:
    """Write the page of a complete run, by default into its folder; return the page's path."""
    from aecli.views.report.page import render
    from aecli.views.report.run_page import run_page

    path = run.report_file if output is None else output
    write_text(path, render(run_page(run)))
    return path
