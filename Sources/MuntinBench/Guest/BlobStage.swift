import Buffers
import GPUDevice
import Glibc
import HubProtocol

/// A guest with screens of several sizes, whose pictures lie in scattered pages of its own. Its frames change 64x64
/// pixels.
///
/// With a hub the pictures are blobs and a frame is one command. Without, as QEMU's back-end knows no blobs, they are 2D
/// resources and a frame is a transfer and a flush.
final class BlobStage {
  /// The part that a frame changes.
  static let damage = Rectangle(x: 128, y: 256, width: 64, height: 64)

  let subject: Subject
  private let hub: String?
  private var frames: [CommandSlots] = []
  private var usedPages = 0

  /// Shows a picture on each screen, and waits until all of them are seen.
  init(_ subject: Subject, screens sizes: [Size], hub: String?) throws(BenchError) {
    self.subject = subject
    self.hub = hub
    for (index, size) in sizes.enumerated() {
      let backing = try Backing(
        subject.guest, byteCount: Int(size.width) * Int(size.height) * 4, .scattered, behind: usedPages)
      usedPages += backing.entries.count
      let scanout = ScanoutID(rawValue: UInt32(index))
      let commands = hub == nil ? try show2D(size, backing, scanout) : try showBlob(size, backing, scanout)
      frames.append(try CommandSlots(subject.guest, commands))
    }
    subject.announce(true)
    for frame in frames { try waitForPicture(frame) }
  }

  private func showBlob(_ size: Size, _ backing: Backing, _ scanout: ScanoutID) throws(BenchError) -> [Command] {
    let blob = try subject.guest.createBlob(backing)
    try subject.guest.perform(
      .setScanoutBlob(
        Command.SetScanoutBlob(
          source: Rectangle(size), scanout: scanout, resource: blob, size: size, format: Guest.pixelFormat,
          stride: size.width * 4, offset: 0)))
    return [.resourceFlush(blob, Self.damage)]
  }

  private func show2D(_ size: Size, _ backing: Backing, _ scanout: ScanoutID) throws(BenchError) -> [Command] {
    let resource = try subject.guest.create(size, backing)
    try subject.guest.perform(.transferToHost2D(resource, Rectangle(size), offset: 0))
    try subject.guest.perform(.setScanout(scanout, resource: resource, source: Rectangle(size)))
    let start = (UInt64(Self.damage.y) * UInt64(size.width) + UInt64(Self.damage.x)) * 4
    return [.transferToHost2D(resource, Self.damage, offset: start), .resourceFlush(resource, Self.damage)]
  }

  private func waitForPicture(_ frame: CommandSlots) throws(BenchError) {
    let start = subject.seen
    for _ in 0..<500 {
      try frame.batch()
      usleep(10_000)
      if subject.seen.flushes > start.flushes { return try frame.check() }
    }
    throw .timedOut("no frame reaches the consumer")
  }

  /// One frame on a screen: microseconds until it was latched, and until the guest had its answer.
  func frame(on screen: Int) throws(BenchError) -> (latched: Double, answered: Double) {
    let before = subject.seen
    let kick = Stopwatch.now
    try frames[screen].batch()
    let answer = Stopwatch.now
    try subject.wait(beyond: before)
    return (Double(subject.seen.time - kick) / 1e3, Double(answer - kick) / 1e3)
  }

  /// How many pixels the back-end has copied to show blobs, as the hub lists it.
  func pixelsCopied() throws(BenchError) -> UInt64 {
    try listed { client throws(ControlError) in try client.vms().reduce(0) { $0 + $1.ledger.pixelsCopied } }
  }

  /// The ways in which the pictures reach the display, with the reasons.
  func ways() throws(BenchError) -> [String] {
    let ways = try listed { client throws(ControlError) in
      try client.buffers().map { "\($0.memory.way) (\($0.memory.reason))" }
    }
    return Set(ways).sorted()
  }

  private func listed<Found>(_ body: (ControlClient) throws(ControlError) -> Found) throws(BenchError) -> Found {
    guard let hub, let name = PeerName("bench-list") else { throw .program("hub", "there is none") }
    do throws(ControlError) {
      return try body(try ControlClient(hubPath: hub, name: name))
    } catch {
      throw .program("hub", error.description)
    }
  }
}
