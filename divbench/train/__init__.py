"""Train networks: teachers on real images, students on distilled ones."""
