import Buffers
import GPUDevice
import Glibc

/// What the processes of one VM and one display take: memory, and time while nothing changes.
enum Resting {
  private static let size = Size(width: 1920, height: 1080)
  private static let resources = 8

  /// Wake-ups and CPU over three seconds in which the guest draws nothing.
  static func measureIdle(_ setup: Setup, _ results: Results) throws(BenchError) {
    try setup.showPicture()
    let parts = setup.parts
    let before = parts.map { ($0.program.usage.sleeps, $0.program.usage.cpuNanoseconds) }
    usleep(3_000_000)
    for (part, start) in zip(parts, before) {
      let usage = part.program.usage
      let peer: Figure.Peer = part.name == "gpu" ? .qemu : .nothing
      results.record(
        Figure(.idle, "\(part.name): wake-ups in 3 s", .count, beside: peer, .atMost(0)), setup.side,
        Double(usage.sleeps - start.0))
      results.record(
        Figure(.idle, "\(part.name): CPU in 3 s", .milliseconds, beside: peer, .atMost(0)), setup.side,
        Double(usage.cpuNanoseconds - start.1) / 1e6)
    }
  }

  /// Resident memory, first idle and then with resources.
  static func measureMemory(_ setup: Setup, _ results: Results) throws(BenchError) {
    try setup.subject.guest.perform(.resourceUnref(try setup.subject.guest.create(Size(width: 16, height: 16))))
    rest()
    let idle = setup.subject.usage.residentMebibytes
    results.record(
      Figure(.memory, "gpu, idle", .mebibytes, beside: .qemu, .ratioAtMost(1)), setup.side, idle)
    try perResource(setup, results)
    try setup.showPicture()
    for part in setup.parts where part.name != "gpu" {
      let isHub = part.name == "hub"
      let usage = part.program.usage
      results.record(
        Figure(.memory, isHub ? "hub" : "compositor, without its frames", .mebibytes, beside: .nothing, .atMost(20)),
        ours: isHub ? usage.residentMebibytes : usage.ownMebibytes)
    }
  }

  /// Until what a start or a connection set off is over; our own processes give pages back a second later.
  private static func rest() { usleep(1_500_000) }

  private static func perResource(_ setup: Setup, _ results: Results) throws(BenchError) {
    let guest = setup.subject.guest
    let backing = try Backing(guest, byteCount: Int(size.width) * Int(size.height) * 4, .scattered)
    // The first one touches the guest's pages, which count as the back-end's too.
    let first = try transferred(guest, backing)
    let before = setup.subject.usage.residentMebibytes
    var list: [ResourceID] = []
    for _ in 0..<resources { list.append(try transferred(guest, backing)) }
    let after = setup.subject.usage.residentMebibytes
    results.record(
      Figure(.memory, "each 1080p resource", .mebibytes, beside: .qemu, .ratioAtMost(1.02)), setup.side,
      (after - before) / Double(resources))
    for resource in list + [first] { try guest.perform(.resourceUnref(resource)) }
  }

  private static func transferred(_ guest: Guest, _ backing: Backing) throws(BenchError) -> ResourceID {
    let resource = try guest.create(size, backing)
    try guest.perform(.transferToHost2D(resource, Rectangle(size), offset: 0))
    return resource
  }

  /// One VM on one display, freshly started.
  final class Setup {
    let side: Side
    let subject: Subject
    /// What is looked at, by its name in the tables.
    let parts: [(name: String, program: Program)]

    init(_ side: Side, _ programs: Programs, _ folder: WorkFolder) throws(BenchError) {
      self.side = side
      var parts: [(name: String, program: Program)] = []
      var hub: String?
      if side == .muntin && !programs.measuresReferenceTwice {
        let (program, socket) = try programs.startHub(folder)
        hub = socket
        parts = [
          ("hub", program),
          ("compositor", try programs.startCompositor(folder, hub: socket, size: "1920x1080")),
        ]
      }
      let (program, socket) = try programs.startBackend(side, folder, hub: hub)
      subject = try Subject(
        side, program, socket: socket, viewer: hub == nil ? .display(try DisplayReader()) : .none)
      self.parts = [("gpu", program)] + parts
    }

    deinit {
      for part in parts { part.program.end() }
    }

    /// Has the guest show a picture, and waits until everybody has come to rest.
    func showPicture() throws(BenchError) {
      let guest = subject.guest
      let backing = try Backing(guest, byteCount: Int(size.width) * Int(size.height) * 4, .contiguous)
      let resource = try Resting.transferred(guest, backing)
      try guest.perform(.setScanout(ScanoutID(rawValue: 0), resource: resource, source: Rectangle(size)))
      try guest.perform(.resourceFlush(resource, Rectangle(size)))
      Resting.rest()
    }
  }
}
