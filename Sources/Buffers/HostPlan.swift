import Platform

/// Where the host takes the memory of pictures from.
public enum HostSource: Hashable, Sendable, CustomStringConvertible {
  /// Sealed memory files, which every consumer may have.
  case memoryFile
  /// A dma-buf heap of the kernel's, by its name: its memory can be given to devices, too.
  case heap(String)

  /// What its memory is.
  public var traits: MemoryTraits {
    switch self {
    case .memoryFile: MemoryTraits(kind: .file)
    case .heap(let name): MemoryTraits(kind: .dmaBuf, isContiguous: DMAHeap.isContiguous(name))
    }
  }

  /// For people.
  public var description: String {
    switch self {
    case .memoryFile: "memory files"
    case .heap(let name): "dma-buf heap \(name)"
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
    let layout = try layout(size: size, format: format)
    let maximum = Size(width: maximumWidth, height: maximumHeight)
    guard let byteCount = byteCount(for: layout) else { throw .size(size, maximum: maximum) }
    var reason = Unfit.memoryKind(.file)
    for source in sources {
      do throws(Unfit) {
        try check(source.traits)
        return HostPlan(layout, byteCount: byteCount, source: source)
      } catch {
        reason = error
      }
    }
    throw reason
  }
}
