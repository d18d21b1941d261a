import Buffers
import GPUDevice
import Glibc
import Platform

/// How fast pixels come out of guest memory.
enum Transfers {
  private static let sizes = [
    ("1080p", Size(width: 1920, height: 1080)), ("4K", Size(width: 3840, height: 2160)),
  ]

  /// One round on one side. Memcpy is measured beside our own transfer, before and after it.
  static func measure(_ subject: Subject, _ results: Results) throws(BenchError) {
    for (name, size) in sizes {
      for shape in [Backing.Shape.contiguous, .scattered] { try measure(subject, name, size, shape, results) }
    }
    for shape in [Backing.Shape.contiguous, .scattered] { try rectangles(subject, shape, results) }
  }

  private static func measure(
    _ subject: Subject, _ name: String, _ size: Size, _ shape: Backing.Shape, _ results: Results
  ) throws(BenchError) {
    let guest = subject.guest
    let byteCount = Int(size.width) * Int(size.height) * 4
    let backing = try Backing(guest, byteCount: byteCount, shape)
    let resource = try guest.create(size, backing)
    let slots = try CommandSlots(guest, [.transferToHost2D(resource, Rectangle(size), offset: 0)])
    for _ in 0..<2 { try slots.batch() }
    let copy = try MemoryCopy(backing.pieces(guest))
    let before = subject.side == .muntin ? try copy.rate() : 0
    let rate = try Stopwatch.rate(over: .milliseconds(100)) { () throws(BenchError) in
      try slots.batch()
      return byteCount
    }
    let after = subject.side == .muntin ? try copy.rate() : 0
    try slots.check()
    try guest.perform(.resourceUnref(resource))

    let label = shape == .contiguous ? "\(name) contiguous" : "\(name), \(backing.entries.count) scattered pages"
    let fromQEMU = Figure(.transfers, label, .gigabytesPerSecond, beside: .qemu, .ratioAtLeast(1))
    results.record(fromQEMU, subject.side, rate / 1e9)
    guard subject.side == .muntin else { return }
    // The targets are those of 4K: at 1080p waking up takes a tenth of the time.
    let target: Figure.Target = name == "4K" ? .ratioAtLeast(shape == .contiguous ? 0.95 : 0.9) : .none
    let fromMemcpy = Figure(.transfers, label, .gigabytesPerSecond, beside: .memcpy, target)
    results.record(fromMemcpy, ours: rate / 1e9, peer: (before + after) / 2e9)
  }

  private static func rectangles(
    _ subject: Subject, _ shape: Backing.Shape, _ results: Results
  ) throws(BenchError) {
    let guest = subject.guest
    let size = Size(width: 3840, height: 2160)
    let backing = try Backing(guest, byteCount: Int(size.width) * Int(size.height) * 4, shape)
    let resource = try guest.create(size, backing)
    let commands = (0..<64).map { index in
      let corner = (x: UInt32(64 * (index % 59)), y: UInt32(64 * (index * 7 % 33)))
      return Command.transferToHost2D(
        resource, Rectangle(x: corner.x, y: corner.y, width: 64, height: 64),
        offset: (UInt64(corner.y) * UInt64(size.width) + UInt64(corner.x)) * 4)
    }
    let slots = try CommandSlots(guest, commands)
    for _ in 0..<4 { try slots.batch() }
    let rate = try Stopwatch.rate(over: .milliseconds(100)) { () throws(BenchError) in
      try slots.batch()
      return slots.count
    }
    try slots.check()
    try guest.perform(.resourceUnref(resource))
    let isScattered = shape == .scattered
    let label = "64x64 out of \(isScattered ? "\(backing.entries.count) pages" : "a contiguous 4K picture")"
    results.record(
      Figure(.transfers, label, .perSecond, beside: .qemu, .ratioAtLeast(isScattered ? 10 : 1)), subject.side, rate)
  }
}

/// The same copy as a transfer's, made here: from the guest's pages into a memory file.
struct MemoryCopy {
  private let pieces: [UnsafeRawBufferPointer]
  private let target: MemoryMapping
  private let byteCount: Int

  init(_ pieces: [UnsafeRawBufferPointer]) throws(BenchError) {
    self.pieces = pieces
    byteCount = pieces.reduce(0) { $0 + $1.count }
    let count = byteCount
    target = try system { () throws(SystemError) in
      let file = try SharedMemory.create(name: "copy", count: count)
      return try MemoryMapping(descriptor: file.raw, count: count, access: .readWrite)
    }
    copy()
  }

  /// Bytes per second.
  func rate() throws(BenchError) -> Double {
    try Stopwatch.rate(over: .milliseconds(50)) { () throws(BenchError) in
      copy()
      return byteCount
    }
  }

  private func copy() {
    var place = target.base
    for piece in pieces {
      guard let start = piece.baseAddress else { continue }
      memcpy(place, start, piece.count)
      place += piece.count
    }
  }
}
