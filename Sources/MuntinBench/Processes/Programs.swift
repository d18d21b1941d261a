import Buffers

/// The programs that are measured, and how they are started.
struct Programs {
  let muntin: String
  let reference: String
  /// Whether QEMU's back-end plays both parts.
  let measuresReferenceTwice: Bool
  /// Whether flushes go to the consumer by a link, without the hub.
  let usesLinks: Bool

  /// Starts a back-end for one guest; `hub`, `name` and the screens are Muntin's alone.
  func startBackend(
    _ side: Side, _ folder: WorkFolder, hub: String? = nil, name: String = "bench", screens: [Size] = [.fullHD],
    hasChannel: Bool = false, renders: Bool = false
  ) throws(BenchError) -> (program: Program, socket: String) {
    let socket = folder.newPath("gpu")
    let program =
      if side == .qemu || measuresReferenceTwice {
        try Program(reference, ["-s", socket], log: folder.newPath("log"))
      } else {
        try Program(
          muntin,
          ["gpu", "--socket-path", socket, "--vm", name, "--memory-limit", "2GiB"]
            + screens.flatMap { ["--size", "\($0)"] } + (hub.map { ["--hub", $0] } ?? [])
            + (hasChannel ? ["--channel", "hub"] : []) + (renders ? ["--virgl"] : []),
          log: folder.newPath("log"))
      }
    try folder.waitForSocket(socket, of: program)
    return (program, socket)
  }

  /// Starts a hub; it lets the `trusted` display see guests' memory.
  func startHub(
    _ folder: WorkFolder, trusting trusted: String? = nil
  ) throws(BenchError) -> (program: Program, socket: String) {
    let socket = folder.newPath("hub")
    let program = try Program(
      muntin, ["hub", "--socket-path", socket] + (trusted.map { ["--sees-guest-memory", $0] } ?? []),
      log: folder.newPath("log"))
    try folder.waitForSocket(socket, of: program)
    return (program, socket)
  }

  /// Starts a compositor without a visible output, of so many frames a second at most.
  func startCompositor(
    _ folder: WorkFolder, hub: String, size: String, refresh: Int = 60
  ) throws(BenchError) -> Program {
    try Program(
      muntin, ["compositor", "--hub", hub, "--output", "headless", "--size", size, "--refresh", "\(refresh)"],
      log: folder.newPath("log"))
  }
}

extension Size {
  /// 1080p.
  static let fullHD = Size(width: 1920, height: 1080)
}
