"""Where things stand in a figure that was drawn."""

from matplotlib.backends.backend_agg import FigureCanvasAgg


def box(figure, artist):
    """Bounding box of an artist in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return artist.get_window_extent(canvas.get_renderer())


def overflow(figure):
    """Inches by which anything sticks out of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    tight = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    return max(-tight.x0, -tight.y0, tight.x1 - width, tight.y1 - height)


def legend(figure):
    """Its words."""
    return [words.get_text() for words in figure.legends[0].get_texts()]


def small_print(figure):
    """What stands at the foot, without line breaks."""
    return figure.texts[0].get_text().replace("\n", " ").replace("\u00a0", " ")
