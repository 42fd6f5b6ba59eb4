"""What tables and figures alike call things. No torch in here."""

ARROWS = {True: " ↑", False: " ↓", None: ""}
"""After a metric: the direction that means more diverse."""
REFERENCES = {
    "iid": "i.i.d. yardstick",
    "random": "random real",
    "kmeans": "k-means centroids",
    "collapse": "collapse to mean",
    "teacher": "teacher",
}
"""Yardsticks and controls by their keys in `Score.reference`."""
