/// What somebody who reads or writes a buffer can use.
///
/// Two sets of constraints merge into the one that both can use, or into a disagreement. The order of merging does not
/// matter, and merging with oneself changes nothing.
public struct Constraints: Hashable, Sendable {
  /// The most formats that can be named; more than the formats that Muntin knows.
  public static let maximumFormats = 32
  /// The most modifiers that can be named.
  public static let maximumModifiers = 16

  /// How a processor may reach the memory.
  public struct Cacheability: OptionSet, Hashable, Sendable {
    /// The bits of the protocol.
    public let rawValue: UInt32
    /// Wraps the bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Through its caches: ordinary memory.
    public static let cached = Cacheability(rawValue: 1)
    /// Writes are collected, reads are slow.
    public static let writeCombined = Cacheability(rawValue: 2)
    /// Around all caches.
    public static let uncached = Cacheability(rawValue: 4)
    /// Each of these ways.
    public static let any: Cacheability = [.cached, .writeCombined, .uncached]
  }

  /// Each row's length in bytes is a multiple of this, which is above 0.
  public var strideAlignment: UInt32 = 1
  /// The first pixel's place in the memory is a multiple of this, which is above 0.
  public var offsetAlignment: UInt32 = 1
  /// The memory has room for a width that is a multiple of this, which is above 0.
  public var widthMultiple: UInt32 = 1
  /// The memory has room for a height that is a multiple of this, which is above 0.
  public var heightMultiple: UInt32 = 1
  /// The largest width, above 0.
  public var maximumWidth: UInt32 = .max
  /// The largest height, above 0.
  public var maximumHeight: UInt32 = .max
  /// The longest row in bytes, above 0.
  public var maximumStride: UInt32 = .max
  /// Whether the memory must be one piece for a device, too.
  public var isContiguous = false
  /// How the memory may be reached.
  public var cacheability = Cacheability.any
  /// How the memory may be handed over.
  public var memoryKinds = MemoryKind.all
  /// The formats; nil: all.
  public var formats: Set<PixelFormat>?
  /// The modifiers (drm_fourcc.h; 0 is linear); nil: all.
  public var modifiers: Set<UInt64>?

  /// No constraint at all.
  public init() {}

  /// What a consumer can use that says nothing: linear pictures of every format that Muntin knows, in memory files.
  public static let unstated: Constraints = {
    var constraints = Constraints()
    constraints.formats = Set(PixelFormat.known)
    constraints.modifiers = [0]
    constraints.memoryKinds = .file
    return constraints
  }()

  /// What two can disagree on.
  public enum Aspect: String, CaseIterable, Sendable, CustomStringConvertible {
    case strideAlignment = "stride alignment"
    case offsetAlignment = "offset alignment"
    case width, height, formats, modifiers, cacheability
    case memoryKinds = "memory kinds"

    /// For people.
    public var description: String { rawValue }
  }
}

// MARK: Merging

extension Constraints {
  /// An aspect of which nothing is left.
  struct Empty: Error, Equatable {
    let aspect: Aspect
  }

  /// What both can use.
  func merging(_ other: Constraints) throws(Empty) -> Constraints {
    var merged = Constraints()
    merged.maximumWidth = min(maximumWidth, other.maximumWidth)
    merged.maximumHeight = min(maximumHeight, other.maximumHeight)
    merged.maximumStride = min(maximumStride, other.maximumStride)
    merged.isContiguous = isContiguous || other.isContiguous
    merged.strideAlignment = try Self.common(strideAlignment, other.strideAlignment, .strideAlignment)
    merged.offsetAlignment = try Self.common(offsetAlignment, other.offsetAlignment, .offsetAlignment)
    merged.widthMultiple = try Self.common(widthMultiple, other.widthMultiple, .width)
    merged.heightMultiple = try Self.common(heightMultiple, other.heightMultiple, .height)
    merged.cacheability = cacheability.intersection(other.cacheability)
    merged.memoryKinds = memoryKinds.intersection(other.memoryKinds)
    merged.formats = Self.both(formats, other.formats)
    merged.modifiers = Self.both(modifiers, other.modifiers)
    try merged.check()
    return merged
  }

  /// The first aspect in which nothing is left, if there is one.
  func check() throws(Empty) {
    if strideAlignment > maximumStride { throw Empty(aspect: .strideAlignment) }
    if widthMultiple > maximumWidth { throw Empty(aspect: .width) }
    if heightMultiple > maximumHeight { throw Empty(aspect: .height) }
    if formats?.isEmpty ?? false { throw Empty(aspect: .formats) }
    if modifiers?.isEmpty ?? false { throw Empty(aspect: .modifiers) }
    if cacheability.isEmpty { throw Empty(aspect: .cacheability) }
    if memoryKinds.isEmpty { throw Empty(aspect: .memoryKinds) }
  }

  private static func both<Element>(_ first: Set<Element>?, _ second: Set<Element>?) -> Set<Element>? {
    guard let first else { return second }
    guard let second else { return first }
    return first.intersection(second)
  }

  /// The least common multiple.
  private static func common(_ first: UInt32, _ second: UInt32, _ aspect: Aspect) throws(Empty) -> UInt32 {
    guard first > 0, second > 0 else { throw Empty(aspect: aspect) }
    let (product, overflow) = (first / greatestDivisor(first, second)).multipliedReportingOverflow(by: second)
    guard !overflow else { throw Empty(aspect: aspect) }
    return product
  }

  private static func greatestDivisor(_ first: UInt32, _ second: UInt32) -> UInt32 {
    var (larger, smaller) = (first, second)
    while smaller != 0 { (larger, smaller) = (smaller, larger % smaller) }
    return larger
  }
}
