import Buffers

/// What one frame asks the painter to do, from the bottom up.
public final class PaintList {
  /// One step.
  struct Item {
    let operation: Operation
    /// The pixels that it may touch.
    let clip: Region
    let opacity: UInt8
  }

  /// What a step draws.
  enum Operation {
    /// Black, below all layers and in their bars.
    case black
    case picture(Picture)
    case placeholder(name: String, reason: String, area: Rectangle)
    case cursor(PlacedCursor, Projection)
  }

  /// The pixels of the display that this frame changes.
  public let damage = Region()
  private(set) var items: [Item] = []
  private var spare: [Region] = []

  /// An empty list.
  public init() {}

  /// How many steps there are.
  public var count: Int { items.count }

  func removeAll() {
    damage.removeAll()
    for item in items { spare.append(item.clip) }
    items.removeAll(keepingCapacity: true)
  }

  /// Adds a step over what `visible` and `box` have in common, if anything.
  func append(
    _ operation: Operation, within box: Box? = nil, outside hole: Box? = nil, of visible: Region, opacity: UInt8
  ) {
    let clip = spare.popLast() ?? Region()
    clip.assign(visible)
    if let box { clip.formIntersection(box) }
    if let hole { clip.subtract(hole) }
    guard !clip.isEmpty else { return spare.append(clip) }
    items.append(Item(operation: operation, clip: clip, opacity: opacity))
  }

  /// Steps were added from the top down; they are painted from the bottom up.
  func finish() {
    items.reverse()
  }
}
