"""Claims: gains that somebody states, in small files, and what measured results say of them. No torch in here.

claim file -> claims and pins        [claim]
  -> results by name -> gains        [judge, composite; divbench.gains]
  -> verdicts, Holm over a family    [judge]
  -> table, JSON, annotations, JUnit [written]
"""

FORMATS = ("table", "json", "markdown", "github")
"""How verdicts can be written: see `divbench.claims.written`."""
