"""Records in, one HTML file out that opens anywhere: `python -m tsl.report RUN… --out report.html`."""
