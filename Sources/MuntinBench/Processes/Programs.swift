/// The programs that are measured, and how they are started.
struct Programs {
  let muntin: String
  let reference: String
  /// Whether QEMU's back-end plays both parts.
  let measuresReferenceTwice: Bool
  /// Whether flushes go to the consumer by a link, without the hub.
  let usesLinks: Bool

  /// Starts a back-end for one guest; `hub` and `name` are Muntin's alone.
  func startBackend(
    _ side: Side, _ folder: WorkFolder, hub: String? = nil, name: String = "bench"
  ) throws(BenchError) -> (program: Program, socket: String) {
    let socket = folder.newPath("gpu")
    let program =
      if side == .qemu || measuresReferenceTwice {
        try Program(reference, ["-s", socket], log: folder.newPath("log"))
      } else {
        try Program(
          muntin,
          ["gpu", "--socket-path", socket, "--size", "1920x1080", "--vm", name, "--memory-limit", "2GiB"]
            + (hub.map { ["--hub", $0] } ?? []),
          log: folder.newPath("log"))
      }
    try folder.waitForSocket(socket, of: program)
    return (program, socket)
  }

  /// Starts a hub.
  func startHub(_ folder: WorkFolder) throws(BenchError) -> (program: Program, socket: String) {
    let socket = folder.newPath("hub")
    let program = try Program(muntin, ["hub", "--socket-path", socket], log: folder.newPath("log"))
    try folder.waitForSocket(socket, of: program)
    return (program, socket)
  }

  /// Starts a compositor without a visible output.
  func startCompositor(_ folder: WorkFolder, hub: String, size: String) throws(BenchError) -> Program {
    try Program(
      muntin, ["compositor", "--hub", hub, "--output", "headless", "--size", size], log: folder.newPath("log"))
  }
}
