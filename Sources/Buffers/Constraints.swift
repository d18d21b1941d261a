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

// MARK: Allocation

extension Constraints {
  /// Why a picture cannot be made so that it can be used.
  public enum Unfit: Error, Equatable, Sendable {
    case size(Size, maximum: Size)
    case format(PixelFormat)
    case modifier
    case stride(UInt64, maximum: UInt32)
  }

  /// Where the pixels of a picture stand so that everybody can use it, from a given place in the memory on.
  ///
  /// Room for the multiples of width and height is in the stride and in `byteCount(for:)`.
  public func layout(size: Size, format: PixelFormat, from start: UInt64 = 0) throws(Unfit) -> PixelLayout {
    let maximum = Size(width: maximumWidth, height: maximumHeight)
    guard let width = Self.rounded(size.width, widthMultiple), width <= UInt64(maximumWidth),
      let height = Self.rounded(size.height, heightMultiple), height <= UInt64(maximumHeight)
    else { throw .size(size, maximum: maximum) }
    guard formats?.contains(format) ?? true else { throw .format(format) }
    guard modifiers?.contains(0) ?? true else { throw .modifier }
    let row = width * UInt64(format.bytesPerPixel)
    guard let stride = Self.rounded(row, UInt64(strideAlignment)), stride <= UInt64(maximumStride) else {
      throw .stride(row, maximum: maximumStride)
    }
    guard let offset = Self.rounded(start, UInt64(offsetAlignment)),
      let layout = PixelLayout(size: size, format: format, stride: UInt32(stride), offset: offset)
    else { throw .size(size, maximum: maximum) }
    return layout
  }

  /// The bytes that such a picture takes from the memory's begin, with room for the multiple of its height; nil when
  /// they pass `Int.max`.
  public func byteCount(for layout: PixelLayout) -> Int? {
    guard let height = Self.rounded(layout.size.height, heightMultiple) else { return nil }
    let (pixels, overflow) = height.multipliedReportingOverflow(by: UInt64(layout.stride))
    let (sum, overflow2) = pixels.addingReportingOverflow(layout.offset)
    return overflow || overflow2 ? nil : Int(exactly: sum)
  }

  /// Whether a picture that exists can be used.
  public func accepts(_ layout: PixelLayout, kind: MemoryKind) -> Bool {
    layout.size.width <= maximumWidth && layout.size.height <= maximumHeight && layout.stride <= maximumStride
      && layout.stride % strideAlignment == 0 && layout.offset % UInt64(offsetAlignment) == 0
      && formats?.contains(layout.format) ?? true && modifiers?.contains(0) ?? true
      && !memoryKinds.isDisjoint(with: kind)
  }

  private static func rounded(_ number: UInt32, _ multiple: UInt32) -> UInt64? {
    rounded(UInt64(number), UInt64(multiple))
  }

  private static func rounded(_ number: UInt64, _ multiple: UInt64) -> UInt64? {
    guard multiple > 0 else { return nil }
    let (sum, overflow) = number.addingReportingOverflow(multiple - 1)
    return overflow ? nil : sum / multiple * multiple
  }
}
