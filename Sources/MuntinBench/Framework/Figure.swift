/// One thing that is measured: its place in the table, and what it has to reach.
struct Figure: Hashable {
  /// A table.
  enum Section: String, CaseIterable {
    case commands = "Small commands"
    case population = "Commands with 2,000 other resources alive"
    case transfers = "TRANSFER_TO_HOST_2D"
    case flushes = "Flush to seen by a consumer"
    case blobs = "Frames in the guest's own pages (blobs), 64x64 damage"
    case composition = "Composition"
    case idle = "Nothing changes"
    case memory = "Resident memory"
    case buffers = "Buffers in the hub"
    case sharing = "A picture of one VM in another"
    case guests = "The same in real guests"
    case rendering = "3D, drawn by virglrenderer without a GPU"
  }

  /// What the numbers count.
  enum Unit: String {
    case perSecond = "/s"
    case microseconds = "µs"
    case gigabytesPerSecond = "GB/s"
    case mebibytes = "MiB"
    case milliseconds = "ms"
    case count = ""
  }

  /// What stands beside our number.
  enum Peer: String {
    case qemu = "QEMU"
    case memcpy = "memcpy"
    case alone = "without them"
    case pixman = "pixman"
    case fullFrame = "full frame"
    case hundred = "100 alive"
    case copyWay = "copy way"
    case network = "network"
    case nothing = "-"
  }

  /// When it is good enough. Ratios are ours divided by the peer's.
  enum Target: Hashable {
    case ratioAtLeast(Double)
    case ratioAtMost(Double)
    case atMost(Double)
    case atLeast(Double)
    /// Told for information.
    case none
  }

  let section: Section
  let name: String
  let unit: Unit
  let peer: Peer
  let target: Target

  init(_ section: Section, _ name: String, _ unit: Unit, beside peer: Peer, _ target: Target = .none) {
    self.section = section
    self.name = name
    self.unit = unit
    self.peer = peer
    self.target = target
  }
}

/// Whether a figure reached its target.
enum Verdict: String {
  case met
  case missed
  case open = "-"
}
