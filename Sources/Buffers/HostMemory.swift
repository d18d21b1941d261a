import Glibc
import Platform

/// Memory of the host's behind a guest's bytes. Nothing is mapped here until somebody looks.
public final class HostMemory {
  /// Length in bytes, a multiple of the page size.
  public let byteCount: Int
  /// Where the bytes begin in the file of the descriptors, a multiple of the page size.
  public let start: UInt64
  private let source: Source
  private var reading: MemoryMapping?
  private var writing: MemoryMapping?
  private var charge: Ledger.Charge?
  private let gone: () -> Void
  /// Whether a guest may write it.
  public let isWritable: Bool

  /// Whose it is.
  private enum Source: ~Copyable {
    /// Allocated here.
    case own(SharedMemoryFile)
    /// Somebody else's.
    case foreign(SharedDescriptor)
  }

  /// Allocates a memory file of at least that many bytes, zero at first.
  ///
  /// - Throws: the system's error when it has no memory or no descriptor left.
  public init(byteCount: Int, name: String = "muntin") throws(SystemError) {
    self.byteCount = Self.wholePages(byteCount) ?? byteCount
    start = 0
    source = .own(try SharedMemoryFile(name: name, count: self.byteCount))
    isWritable = true
    gone = {}
  }

  /// Somebody else's memory, by a descriptor that can do what the guest may; `gone` is called when nobody here uses it any
  /// more.
  ///
  /// - Parameters:
  ///   - byteCount: whole pages.
  ///   - start: where they begin in the file: whole pages, too.
  public init(
    foreign descriptor: SharedDescriptor, byteCount: Int, from start: UInt64 = 0, isWritable: Bool = true,
    gone: @escaping () -> Void
  ) {
    self.byteCount = byteCount
    self.start = start
    self.isWritable = isWritable
    source = .foreign(descriptor)
    self.gone = gone
  }

  deinit {
    if losesPagesAtEnd { try? punch() }
    gone()
  }

  /// Whether somebody was given a descriptor who does not say when he lets go: the pages go when nobody here uses the
  /// memory any more, so that he cannot keep what nobody is charged for.
  public var losesPagesAtEnd = false

  /// So many bytes in whole pages; nil when that passes `Int.max`.
  public static func wholePages(_ byteCount: Int) -> Int? {
    let page = SharedMemory.pageSize
    let (sum, overflow) = byteCount.addingReportingOverflow(page - 1)
    return overflow ? nil : sum / page * page
  }

  /// Keeps a charge for as long as the memory is here.
  public func keep(_ charge: consuming Ledger.Charge) { self.charge = consume charge }

  /// Whether it was allocated here, so that it can be emptied and given to others.
  public var isOwn: Bool {
    switch source {
    case .own: true
    case .foreign: false
    }
  }

  /// Whether it is a dma-buf, which no one can open for reading only.
  public var isDMABuf: Bool {
    switch source {
    case .own: false
    case .foreign(let descriptor): DMABuf.isDMABuf(descriptor.raw)
    }
  }

  /// Whether a descriptor is of the same file.
  public func isSameFile(as raw: Int32) -> Bool {
    guard let own = FileIdentity(of: self.raw) else { return false }
    return own == FileIdentity(of: raw)
  }

  private var raw: Int32 {
    switch source {
    case .own(let file): file.writable.raw
    case .foreign(let descriptor): descriptor.raw
    }
  }

  /// The bytes, mapped for reading at the first call.
  public func bytes() throws(SystemError) -> UnsafeRawBufferPointer {
    if let reading { return reading.bytes }
    let fresh = try MemoryMapping(descriptor: raw, offset: start, count: byteCount, access: .readOnly)
    reading = fresh
    return fresh.bytes
  }

  /// The bytes, mapped for writing at the first call.
  public func mutableBytes() throws(SystemError) -> UnsafeMutableRawBufferPointer {
    if let writing { return writing.mutableBytes }
    let fresh = try MemoryMapping(descriptor: raw, offset: start, count: byteCount, access: .readWrite)
    writing = fresh
    return fresh.mutableBytes
  }

  /// Gives the pages back to the system: who still has them mapped sees zeros.
  ///
  /// - Throws: EPERM for memory that is somebody else's.
  public func punch() throws(SystemError) {
    guard isOwn else { throw SystemError(call: "punch", code: EPERM) }
    try SharedMemory.punch(raw, count: byteCount)
  }

  /// A descriptor that lets its holder map the memory for reading only.
  public func readOnlyDescriptor() throws(SystemError) -> FileDescriptor {
    switch source {
    case .own(let file): try file.readOnly()
    case .foreign(let descriptor): try SharedMemory.reopenReadOnly(descriptor.raw)
    }
  }

  /// A descriptor of the memory that a VMM maps for its guest: writable where the guest may write.
  public func guestDescriptor() throws(SystemError) -> SharedDescriptor {
    switch source {
    case .own(let file): SharedDescriptor(try file.writable.duplicate())
    case .foreign(let descriptor): descriptor
    }
  }
}
