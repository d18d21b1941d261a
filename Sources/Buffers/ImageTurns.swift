/// Which images of its buffer an owner may draw into: not the newest published one, none that may still be given to
/// somebody, and none that somebody holds.
public struct ImageTurns: Sendable {
  private let count: Int
  /// The generation that was published last in each image; 0: none.
  private var published: [UInt64]
  /// Only this generation or a newer one is given to anybody from now on; 0: that was not said yet.
  private var acknowledged: UInt64 = 0
  /// Images that somebody holds, as bits.
  private var held: UInt32 = 0

  /// The generation that was published last; 0: none.
  public private(set) var newest: UInt64 = 0

  /// So many images, none of them drawn.
  public init(count: Int) {
    self.count = max(count, 1)
    published = Array(repeating: 0, count: self.count)
  }

  /// A generation was published.
  public mutating func publish(_ generation: UInt64) {
    published[Int(generation % UInt64(count))] = generation
    newest = max(newest, generation)
  }

  /// What the hub says: only this generation or a newer one is given from now on, and these images are held.
  public mutating func note(acknowledged: UInt64, held: UInt32) {
    self.acknowledged = max(self.acknowledged, acknowledged)
    self.held = held
  }

  /// Whether an image may be drawn into.
  public func isFree(_ image: Int) -> Bool {
    guard published.indices.contains(image) else { return false }
    let last = published[image]
    return held & (1 << UInt32(image)) == 0 && (last == 0 || last < acknowledged)
  }

  /// The generation to be drawn next: the lowest one above all published ones whose image is free; nil: none is.
  public var next: UInt64? {
    (1...UInt64(count)).lazy.map { newest &+ $0 }.first { isFree(Int($0 % UInt64(count))) }
  }
}
