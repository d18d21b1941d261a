import CDRM
import CrossDomain
import Glibc
import Platform

/// A virtio-gpu card of this VM that has a channel to the host's hub, opened for this program alone.
public final class GraphicsCard {
  /// Its file.
  public let path: String
  let descriptor: FileDescriptor

  private init(path: String, descriptor: consuming FileDescriptor) {
    self.path = path
    self.descriptor = descriptor
  }

  // MARK: Finding

  /// The card at a path; or the first one that has a channel, of those whose files are in a folder. One with screens is
  /// opened by the file that can use them.
  public static func open(
    _ path: String?, folder: String = "/dev/dri", withScreens: Bool = false
  ) throws(GuestError) -> GraphicsCard {
    guard path == nil else { return try open(at: path ?? "") }
    var failure = GuestError.noCard
    for name in names(in: folder) where !withScreens || name.hasPrefix("card") {
      do throws(GuestError) {
        return try open(at: "\(folder)/\(name)")
      } catch {
        failure = worse(failure, error)
      }
    }
    throw failure
  }

  /// What says more to the user: a card without a channel is more than one that is closed, and that more than none.
  private static func worse(_ left: GuestError, _ right: GuestError) -> GuestError {
    func weight(_ error: GuestError) -> Int {
      switch error {
      case .noCard, .notACard: 0
      case .notPermitted: 1
      case .noChannel: 2
      default: 3
      }
    }
    return weight(right) > weight(left) ? right : left
  }

  /// Render nodes first: any user of their group may open them.
  private static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name.hasPrefix("renderD") || name.hasPrefix("card") { names.append(name) }
    }
    return names.filter { $0.hasPrefix("renderD") }.sorted() + names.filter { $0.hasPrefix("card") }.sorted()
  }

  private static func open(at path: String) throws(GuestError) -> GraphicsCard {
    let raw = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard raw >= 0 else {
      let code = errno
      if code == EACCES || code == EPERM { throw .notPermitted(path) }
      throw code == ENOENT ? .notACard(path) : .system(SystemError(call: "open \(path)", code: code))
    }
    let card = GraphicsCard(path: path, descriptor: FileDescriptor(adopting: raw))
    guard card.driver == "virtio_gpu" else { throw .notACard(path) }
    guard card.hasHubChannel else { throw .noChannel(path) }
    return card
  }

  private var driver: String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { name in
      guard let room = name.baseAddress, cdrm_driver_name(descriptor.raw, room, name.count) == 0 else { return nil }
      return String(cString: room)
    }
  }

  private var hasHubChannel: Bool {
    for number in [CDRM_PARAM_RESOURCE_BLOB, CDRM_PARAM_HOST_VISIBLE, CDRM_PARAM_CONTEXT_INIT] {
      guard parameter(number) == 1 else { return false }
    }
    let capset = CrossDomain.capset
    guard let capsets = parameter(CDRM_PARAM_SUPPORTED_CAPSETS), capsets & 1 << UInt64(capset) != 0 else {
      return false
    }
    var contents = [UInt8](repeating: 0, count: CrossDomainCapabilities.byteCount)
    let result = contents.withUnsafeMutableBytes {
      cdrm_capset(descriptor.raw, capset, 0, $0.baseAddress, UInt32($0.count))
    }
    guard result == 0 else { return false }
    return contents.withUnsafeBytes { CrossDomainCapabilities(decoding: $0) }?.offers(.hub) ?? false
  }

  private func parameter(_ number: some BinaryInteger) -> UInt64? {
    var value: UInt64 = 0
    return cdrm_parameter(descriptor.raw, UInt64(number), &value) == 0 ? value : nil
  }

  // MARK: Using

  /// Makes this open file a context of the CROSS_DOMAIN kind, whose channel ring wakes who polls the file.
  func startContext() throws(GuestError) {
    try check(
      cdrm_context(descriptor.raw, CrossDomain.capset, 2, 1 << UInt64(CrossDomain.channelRing)), "start a context")
  }

  /// Gives commands to the context; with a ring, a fence on it completes when the host has something to say there.
  /// With a fence to wait for, it returns and the commands leave when that has signalled.
  func submit(_ commands: [UInt8], ring: UInt8? = nil, inFence: SharedDescriptor? = nil) throws(GuestError) {
    let result = commands.withUnsafeBytes {
      cdrm_submit_fenced(
        descriptor.raw, $0.baseAddress, UInt32($0.count), Self.number(ring), inFence?.raw ?? -1, nil)
    }
    try check(result, "submit commands")
  }

  /// As ``submit(_:ring:inFence:)``; what it gives signals when the commands are done, on a ring when the host has
  /// something to say there.
  func submitForFence(_ commands: [UInt8], ring: UInt8) throws(GuestError) -> SharedDescriptor {
    var fence: Int32 = -1
    let result = commands.withUnsafeBytes {
      cdrm_submit_fenced(descriptor.raw, $0.baseAddress, UInt32($0.count), Self.number(ring), -1, &fence)
    }
    try check(result, "submit commands")
    return SharedDescriptor(FileDescriptor(adopting: fence))
  }

  private static func number(_ ring: UInt8?) -> UInt32 { ring.map { UInt32($0) } ?? UInt32(CDRM_NO_RING) }

  /// Waits for a fence of a polled ring; false when the time is over, or another file has something to read.
  func waitForFence(until end: MonotonicTime, or other: Int32?) throws(GuestError) -> Bool {
    while true {
      let left = max(0, (end - .now).nanoseconds)
      // The kernel passes over negative numbers.
      var polls = [descriptor.raw, other ?? -1].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let count = Glibc.poll(&polls, nfds_t(polls.count), Int32(clamping: (left + 999_999) / 1_000_000))
      if count > 0, polls[0].revents != 0 { break }
      if count >= 0 { return false }
      guard errno == EINTR else { throw .system(.last("poll \(path)")) }
    }
    let result = cdrm_read_events(descriptor.raw)
    guard result > 0 else { throw .system(SystemError(call: "read \(path)", code: -result)) }
    return true
  }

  func check(_ result: Int32, _ what: String) throws(GuestError) {
    guard result != 0 else { return }
    throw .system(SystemError(call: "\(path): \(what)", code: -result))
  }
}
