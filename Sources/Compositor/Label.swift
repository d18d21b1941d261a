import Buffers

/// Lines of text in the middle of an area, as rectangles of set pixels.
enum Label {
  /// The name large, the reason half as large below it.
  static func region(name: String, reason: String, in area: Rectangle) -> Region {
    let unit = self.unit(for: area, name.unicodeScalars.count)
    let pixels = Region()
    let nameHeight = (BitmapFont.rows + 1) * unit * 2
    let height = nameHeight + BitmapFont.rows * unit
    let top = Int64(area.y) + (Int64(area.height) - Int64(height)) / 2
    draw(name, unit: unit * 2, top: top, in: area, into: pixels)
    draw(reason, unit: unit, top: top + Int64(nameHeight), in: area, into: pixels)
    pixels.formIntersection(area)
    return pixels
  }

  /// Display pixels for one of the font's: one for each 240 columns, but so that the name fits.
  private static func unit(for area: Rectangle, _ count: Int) -> Int {
    let room = Int(area.width) / ((count + 2) * 2 * BitmapFont.advance)
    return min(max(1, min(room, Int(area.width) / 240)), 4)
  }

  private static func draw(_ text: String, unit: Int, top: Int64, in area: Rectangle, into pixels: Region) {
    let most = Int(area.width) / (BitmapFont.advance * unit)
    let scalars = Array(text.unicodeScalars.prefix(min(most, 128)))
    let width = scalars.count * BitmapFont.advance * unit - unit
    var left = Int64(area.x) + (Int64(area.width) - Int64(width)) / 2
    for scalar in scalars {
      draw(scalar, unit: Int64(unit), left: left, top: top, into: pixels)
      left += Int64(BitmapFont.advance * unit)
    }
  }

  private static func draw(_ scalar: Unicode.Scalar, unit: Int64, left: Int64, top: Int64, into pixels: Region) {
    for row in 0..<BitmapFont.rows {
      for column in 0..<BitmapFont.columns where BitmapFont.isSet(scalar, column: column, row: row) {
        let x = left + Int64(column) * unit
        let y = top + Int64(row) * unit
        pixels.formUnion(Box(left: x, top: y, right: x + unit, bottom: y + unit))
      }
    }
  }
}

/// The labels drawn last: a label below a VM that moves is drawn with each of its frames.
struct LabelCache {
  private struct Key: Hashable {
    let name: String
    let reason: String
    let area: Rectangle
  }

  private static let most = 32
  private var regions: [Key: Region] = [:]

  mutating func region(name: String, reason: String, in area: Rectangle) -> Region {
    let key = Key(name: name, reason: reason, area: area)
    if let region = regions[key] { return region }
    if regions.count >= Self.most { regions.removeAll() }
    let region = Label.region(name: name, reason: reason, in: area)
    regions[key] = region
    return region
  }
}
