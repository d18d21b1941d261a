import Platform

/// Where the host takes the memory of pictures from.
public enum HostSource: Hashable, Sendable, CustomStringConvertible {
  /// Sealed memory files, which every consumer may have.
  case memoryFile
  /// A dma-buf heap of the kernel's, by its name: its memory can be given to devices, too.
  case heap(String)
  /// A graphics driver, by its node, whose rows are multiples of so many bytes.
  case driver(String, strideAlignment: UInt32)

  /// What a configuration names, a heap or a driver's node, once it has been tried.
  public static func tried(_ name: String) throws(SystemError) -> HostSource {
    let isNode = GBM.isNode(name)
    let source = isNode ? HostSource.driver(name, strideAlignment: try strideAlignment(of: name)) : .heap(name)
    guard let layout = PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888) else { return source }
    _ = try HostBuffer(HostPlan(layout, source: source))
    return source
  }

  /// A driver rounds the shortest row up to what it wants.
  private static func strideAlignment(of node: String) throws(SystemError) -> UInt32 {
    let picture = try GBM.allocate(on: node, width: 1, height: 1)
    return max(picture.stride, 1)
  }

  /// Whether a text can name a heap or a driver's node.
  public static func isName(_ text: String) -> Bool { DMAHeap.isName(text) || GBM.isNode(text) }

  /// What its memory is.
  public var traits: MemoryTraits {
    switch self {
    case .memoryFile: MemoryTraits(kind: .file)
    case .heap(let name): MemoryTraits(kind: .dmaBuf, isContiguous: DMAHeap.isContiguous(name))
    case .driver: MemoryTraits(kind: .dmaBuf)
    }
  }

  /// What it makes of the constraints that its own pictures cannot help having.
  fileprivate func adding(to constraints: Constraints) throws(Constraints.Unfit) -> Constraints {
    guard case .driver(_, let alignment) = self else { return constraints }
    var own = Constraints()
    own.strideAlignment = alignment
    do throws(Constraints.Empty) {
      return try constraints.merging(own)
    } catch {
      throw .stride(UInt64(alignment), maximum: constraints.maximumStride)
    }
  }

  /// For people.
  public var description: String {
    switch self {
    case .memoryFile: "memory files"
    case .heap(let name): "dma-buf heap \(name)"
    case .driver(let node, _): "the driver of \(node)"
    }
  }
}

/// How the host allocates a picture.
public struct HostPlan: Hashable, Sendable {
  /// Where its pixels stand.
  public let layout: PixelLayout
  /// Whole pages, with room for what its consumers want beside the pixels.
  public let byteCount: Int
  /// Where its memory comes from.
  public let source: HostSource

  /// Memory for a layout, in whole pages.
  public init(_ layout: PixelLayout, byteCount: Int? = nil, source: HostSource = .memoryFile) {
    self.layout = layout
    let count = max(byteCount ?? layout.byteCount, layout.byteCount)
    self.byteCount = HostMemory.wholePages(count) ?? count
    self.source = source
  }
}

extension Constraints {
  /// How a picture is to be allocated so that everybody can use it: from the first source whose memory they can.
  public func plan(size: Size, format: PixelFormat, from sources: [HostSource]) throws(Unfit) -> HostPlan {
    var reason = Unfit.memoryKind(.file)
    for source in sources {
      do throws(Unfit) {
        return try source.adding(to: self).plan(size, format, from: source)
      } catch {
        reason = error
      }
    }
    throw reason
  }

  private func plan(_ size: Size, _ format: PixelFormat, from source: HostSource) throws(Unfit) -> HostPlan {
    let layout = try layout(size: size, format: format)
    let maximum = Size(width: maximumWidth, height: maximumHeight)
    guard let byteCount = byteCount(for: layout) else { throw .size(size, maximum: maximum) }
    try check(source.traits)
    return HostPlan(layout, byteCount: byteCount, source: source)
  }
}
