// A buffer's layout speaks of sizes, damage of rectangles.
@_exported import Geometry
