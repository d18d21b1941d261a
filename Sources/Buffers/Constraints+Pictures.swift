// What constraints mean for one picture: where its pixels are to stand, and whether one that exists can be used.

/// What a buffer's memory is to those who use it, beside its size. All memory that is handed over is cached.
public struct MemoryTraits: Hashable, Sendable {
  /// What it is made of; several kinds where that is not decided yet.
  public var kind: MemoryKind
  /// Whether it is one piece for devices, too.
  public var isContiguous: Bool

  /// Memory.
  public init(kind: MemoryKind, isContiguous: Bool = false) {
    self.kind = kind
    self.isContiguous = isContiguous
  }
}

extension Constraints {
  /// Why a picture cannot be used, or not be made so that it can.
  public enum Unfit: Error, Hashable, Sendable, CustomStringConvertible {
    case size(Size, maximum: Size)
    case format(PixelFormat)
    case modifier
    case stride(UInt64, maximum: UInt32)
    case alignment(UInt64, of: UInt32)
    case room(multiples: Size)
    case contiguity
    case cacheability
    case memoryKind(MemoryKind)

    /// What cannot be used, for people.
    public var description: String {
      switch self {
      case .size(let size, let maximum): "size \(size), beyond \(maximum)"
      case .format(let format): "format \(format)"
      case .modifier: "linear pictures"
      case .stride(let stride, let maximum): "rows of \(stride) bytes, beyond \(maximum)"
      case .alignment(let number, let alignment): "a stride or offset of \(number), no multiple of \(alignment)"
      case .room(let multiples): "memory without room for multiples of \(multiples)"
      case .contiguity: "memory that is not contiguous"
      case .cacheability: "cached memory"
      case .memoryKind(let kind): "memory of kind \(kind)"
      }
    }
  }

  // MARK: To be made

  /// Where the pixels of a picture stand so that everybody can use it, from a given place in the memory on.
  ///
  /// Room for the multiples of width and height is in the stride and in `byteCount(for:)`.
  public func layout(size: Size, format: PixelFormat, from start: UInt64 = 0) throws(Unfit) -> PixelLayout {
    let maximum = Size(width: maximumWidth, height: maximumHeight)
    guard let width = Self.rounded(size.width, widthMultiple), width <= UInt64(maximumWidth),
      let height = Self.rounded(size.height, heightMultiple), height <= UInt64(maximumHeight)
    else { throw .size(size, maximum: maximum) }
    try check(format)
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

  // MARK: That exists

  /// Whether a picture in memory of so many bytes can be used as it lies.
  public func check(_ layout: PixelLayout, in memory: MemoryTraits, byteCount: UInt64) throws(Unfit) {
    guard layout.size.width <= maximumWidth, layout.size.height <= maximumHeight else {
      throw .size(layout.size, maximum: Size(width: maximumWidth, height: maximumHeight))
    }
    try check(layout.format)
    guard layout.stride <= maximumStride else { throw .stride(UInt64(layout.stride), maximum: maximumStride) }
    guard strideAlignment > 0, layout.stride % strideAlignment == 0 else {
      throw .alignment(UInt64(layout.stride), of: strideAlignment)
    }
    guard offsetAlignment > 0, layout.offset % UInt64(offsetAlignment) == 0 else {
      throw .alignment(layout.offset, of: offsetAlignment)
    }
    guard hasRoom(for: layout, in: byteCount) else {
      throw .room(multiples: Size(width: widthMultiple, height: heightMultiple))
    }
    try check(memory)
  }

  /// Whether that memory can be used, whatever lies in it.
  public func check(_ memory: MemoryTraits) throws(Unfit) {
    guard memory.isContiguous || !isContiguous else { throw .contiguity }
    guard cacheability.contains(.cached) else { throw .cacheability }
    guard !memoryKinds.isDisjoint(with: memory.kind) else { throw .memoryKind(memory.kind) }
  }

  private func check(_ format: PixelFormat) throws(Unfit) {
    guard formats?.contains(format) ?? true else { throw .format(format) }
    guard modifiers?.contains(0) ?? true else { throw .modifier }
  }

  private func hasRoom(for layout: PixelLayout, in byteCount: UInt64) -> Bool {
    needed(for: layout).map { $0 <= byteCount } ?? false
  }

  /// How many bytes of memory a picture that lies so has to have; nil when its rows have no room.
  public func needed(for layout: PixelLayout) -> UInt64? {
    guard let width = Self.rounded(layout.size.width, widthMultiple),
      let height = Self.rounded(layout.size.height, heightMultiple), height > 0
    else { return nil }
    let row = width * UInt64(layout.format.bytesPerPixel)
    guard row <= UInt64(layout.stride) else { return nil }
    let (sum, overflow) = (UInt64(layout.stride) * (height - 1)).addingReportingOverflow(layout.offset)
    let (end, overflow2) = sum.addingReportingOverflow(row)
    return overflow || overflow2 ? nil : end
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
