"""Write the records of runs as one HTML file that opens anywhere: `python -m tsl.report RUN… --out report.html`."""
