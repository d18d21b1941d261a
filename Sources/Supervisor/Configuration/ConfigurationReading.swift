import Buffers
import Platform

extension Configuration {
  /// The largest file that is read; a configuration of a thousand machines is smaller.
  static let maximumFileSize = 1 << 20

  /// Reads a file. Relative paths in it begin at its own folder.
  public init(file: String) throws(ConfigurationError) {
    let text: [UInt8]
    do {
      text = try TextFile.read(file, limit: Self.maximumFileSize)
    } catch {
      var failure = ConfigurationError(line: nil, .unreadable("\(error)"))
      failure.file = file
      throw failure
    }
    try self.init(text: text, file: file)
  }

  /// Reads a text that stands, or would stand, in `file`.
  public init(text: [UInt8], file: String) throws(ConfigurationError) {
    do {
      try self.init(document: Self.parse(text), folder: TextFile.folder(of: file))
    } catch {
      var failure = error
      failure.file = file
      throw failure
    }
  }

  private static func parse(_ text: [UInt8]) throws(ConfigurationError) -> TOMLNode {
    do {
      return try TOMLNode.parse(text)
    } catch {
      throw ConfigurationError(line: error.line, .syntax(error.message))
    }
  }

  private init(document: TOMLNode, folder: String) throws(ConfigurationError) {
    let root = try TOMLTableReader(document, name: "the file", keys: ["hub", "display", "vm", "application", "grant"])
    var uniques = UniqueValues()
    let hub = try Self.hub(root)
    hubSocket = try hub?.socket("socket", folder, &uniques)
    leaseLimit = try hub?.number("lease_limit", in: Self.leaseLimits)?.value
    displays = []
    for node in try root.tables("display") {
      displays.append(try Display(node, folder, &uniques))
    }
    guard !displays.isEmpty else { throw ConfigurationError(line: 1, .noDisplay) }
    machines = []
    for node in try root.tables("vm") {
      machines.append(try Machine(node, folder, displays, &uniques))
    }
    try Self.checkReaders(try root.tables("vm"), machines.map(\.name))
    applications = []
    for node in try root.tables("application") { applications.append(try Application(node, &uniques)) }
    grants = []
    for node in try root.tables("grant") {
      grants.append(try Grant(node, vms: machines.map(\.name), displays: displays.map(\.name)))
    }
  }

  /// Every machine whose memory another may see has to be there.
  private static func checkReaders(_ nodes: [TOMLNode], _ names: [String]) throws(ConfigurationError) {
    for node in nodes {
      let table = try TOMLTableReader(node, name: "[[vm]]", keys: Machine.keys)
      guard let readers = try table.strings("sees_memory_of") else { continue }
      guard let unknown = readers.value.first(where: { !names.contains($0) }) else { continue }
      throw ConfigurationError(line: readers.line, .unknownParty("vm:\(unknown)", known: names))
    }
  }

  private static func hub(_ root: TOMLTableReader) throws(ConfigurationError) -> TOMLTableReader? {
    guard let node = root.table("hub") else { return nil }
    return try TOMLTableReader(node, name: "[hub]", keys: ["socket", "lease_limit"])
  }
}

extension Configuration.Display {
  private static let keys = ["name", "size", "output", "refresh", "password_file", "sees_guest_memory"]

  fileprivate init(
    _ node: TOMLNode, _ folder: String, _ uniques: inout UniqueValues
  ) throws(ConfigurationError) {
    let table = try TOMLTableReader(node, name: "[[display]]", keys: Self.keys)
    name = try table.name(of: "display", &uniques)
    size = try table.size("size")
    let output = try table.need("output", table.parsed("output", DisplayOutput.expectation) { DisplayOutput($0) })
    if case .vnc = output.value { try uniques.add("the output", "\(output.value)", at: output.line) }
    self.output = output.value
    refresh = try table.integer("refresh", in: Configuration.refreshRates)?.value
    passwordFile = try table.path("password_file", folder)?.value
    seesGuestMemory = try table.boolean("sees_guest_memory")?.value ?? true
    if !output.value.isLocal && passwordFile == nil {
      throw ConfigurationError(line: output.line, .passwordNeeded(address: "\(output.value)"))
    }
  }
}

extension Configuration.Machine {
  fileprivate static let keys = [
    "name", "socket", "memory_limit", "allocate", "heap", "host_visible", "blob_alignment", "channel", "share_displays",
    "wayland", "vmm_maps_read_only", "sees_memory_of", "virgl", "venus", "render_node", "hang_seconds", "sandbox",
    "limits", "command", "restart", "scanout",
  ]

  fileprivate init(
    _ node: TOMLNode, _ folder: String, _ displays: [Configuration.Display], _ uniques: inout UniqueValues
  ) throws(ConfigurationError) {
    let table = try TOMLTableReader(node, name: "[[vm]]", keys: Self.keys)
    name = try table.name(of: "VM", &uniques)
    socket = try table.need("socket", table.socket("socket", folder, &uniques))
    memoryLimit = try table.memorySize("memory_limit")
    allocation = try table.parsed("allocate", "\"guest\" or \"host\"") { AllocationSide($0) }?.value
    heap = try table.parsed("heap", Configuration.heapExpectation) { HostSource.isName($0) ? $0 : nil }?.value
    hostVisible = try table.parsed("host_visible", Configuration.windowExpectation) { Configuration.windowSize($0) }?
      .value
    blobAlignment = try table.parsed("blob_alignment", "\"4K\", \"16K\" or \"64K\"") { BlobAlignment($0) }?.value
    let channel = try table.parsed("channel", "\"hub\"") { Configuration.Channel(rawValue: String($0)) }
    let wayland = try table.socketPath("wayland", folder)
    for (key, line) in [("channel", channel?.line), ("wayland", wayland?.line)] where hostVisible == 0 {
      if let line { throw ConfigurationError(line: line, .channelWithoutWindow(key: key, machine: name)) }
    }
    self.channel = channel?.value
    let shares = try table.boolean("share_displays")
    if let shares, channel == nil {
      throw ConfigurationError(line: shares.line, .needsKey("share_displays", needed: "channel"))
    }
    sharesDisplays = shares?.value ?? false
    vmmMapsReadOnly = try table.boolean("vmm_maps_read_only")?.value ?? false
    seesMemoryOf = try table.strings("sees_memory_of")?.value ?? []
    self.wayland = wayland?.value
    hasVirgl = try table.boolean("virgl")?.value ?? false
    let venus = try table.boolean("venus")
    if let venus, venus.value, hostVisible == 0 {
      throw ConfigurationError(line: venus.line, .channelWithoutWindow(key: "venus", machine: name))
    }
    hasVenus = venus?.value ?? false
    let node = try table.path("render_node", folder)
    if let node, !hasVirgl, !hasVenus {
      throw ConfigurationError(line: node.line, .needsKey("render_node", needed: "virgl"))
    }
    renderNode = node?.value
    sandbox = try table.parsed("sandbox", "\"on\", \"log\" or \"off\"") { Configuration.Sandbox(rawValue: String($0)) }?
      .value
    hangSeconds = try table.integer("hang_seconds", in: Configuration.hangSeconds)?.value
    limits = try Self.limits(table)
    let command = try table.command("command")
    self.command = command ?? []
    let restart = try table.boolean("restart")
    if let restart, command == nil {
      throw ConfigurationError(line: restart.line, .needsKey("restart", needed: "command"))
    }
    self.restart = restart?.value ?? false
    scanouts = []
    for node in try table.tables("scanout") { scanouts.append(try Configuration.Scanout(node, displays)) }
    guard (1...Configuration.maximumScanouts).contains(scanouts.count) else {
      throw ConfigurationError(line: table.line, .scanoutCount(scanouts.count, machine: name))
    }
  }
}

extension Configuration.Scanout {
  private static let keys = ["display", "x", "y", "width", "height", "layer", "scale", "opacity"]

  fileprivate init(_ node: TOMLNode, _ displays: [Configuration.Display]) throws(ConfigurationError) {
    let table = try TOMLTableReader(node, name: "[[vm.scanout]]", keys: Self.keys)
    guard let wanted = try table.string("display") else {
      self = try Self.onNone(table)
      return
    }
    guard let display = displays.first(where: { $0.name == wanted.value }) else {
      throw ConfigurationError(line: wanted.line, .unknownDisplay(wanted.value, known: displays.map(\.name)))
    }
    self.display = display.name
    area = try Self.area(table)
    guard area.fits(in: display.size) else {
      throw ConfigurationError(
        line: table.line, .areaOutsideDisplay(area, display: display.name, size: display.size))
    }
    layer = try table.integer("layer", in: Configuration.layers)?.value ?? 0
    let modes = Configuration.ScaleMode.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    scale = try table.parsed("scale", modes) { Configuration.ScaleMode(rawValue: $0) }?.value ?? .fit
    opacity = try table.number("opacity", in: 0...1)?.value ?? 1
  }

  /// A screen that no display shows has a mode, and no place.
  private static func onNone(_ table: TOMLTableReader) throws(ConfigurationError) -> Self {
    for key in ["x", "y", "layer", "scale", "opacity"] {
      guard let line = table.line(of: key) else { continue }
      throw ConfigurationError(line: line, .needsKey(key, needed: "display"))
    }
    return Self(
      display: nil, area: Rectangle(try Self.mode(table)), layer: 0, scale: .fit, opacity: 1)
  }

  private static func mode(_ table: TOMLTableReader) throws(ConfigurationError) -> Size {
    Size(
      width: UInt32(clamping: try table.need("width", table.integer("width", in: Configuration.extents)).value),
      height: UInt32(clamping: try table.need("height", table.integer("height", in: Configuration.extents)).value))
  }

  private static func area(_ table: TOMLTableReader) throws(ConfigurationError) -> Rectangle {
    let corners = 0...Configuration.extents.upperBound
    let x = try table.need("x", table.integer("x", in: corners)).value
    let y = try table.need("y", table.integer("y", in: corners)).value
    let size = try mode(table)
    return Rectangle(x: UInt32(clamping: x), y: UInt32(clamping: y), width: size.width, height: size.height)
  }
}

extension TOMLTableReader {
  func name(
    of what: String, _ uniques: inout UniqueValues
  ) throws(ConfigurationError) -> String {
    let expected =
      "1 to \(Configuration.maximumNameLength) letters, digits, \"-\", \"_\" or \".\", the first a letter or a digit"
    let name = try need("name", parsed("name", expected) { Configuration.isName($0) ? $0 : nil })
    try uniques.add(what, name.value, at: name.line)
    return name.value
  }

  fileprivate func size(_ key: String) throws(ConfigurationError) -> Size {
    let extents = Configuration.extents
    let expected = "\"WIDTHxHEIGHT\" with \(extents.lowerBound) to \(extents.upperBound) each, such as \"1280x800\""
    return try need(key, parsed(key, expected) { Configuration.size($0) }).value
  }

  fileprivate func path(_ key: String, _ folder: String) throws(ConfigurationError) -> Located<String>? {
    try parsed(key, "a path") { $0.isEmpty ? nil : TextFile.absolute($0, in: folder) }
  }

  fileprivate func socketPath(_ key: String, _ folder: String) throws(ConfigurationError) -> Located<String>? {
    guard let path = try path(key, folder) else { return nil }
    guard path.value.utf8.count <= Configuration.maximumSocketPathLength else {
      let expected = "a path of at most \(Configuration.maximumSocketPathLength) bytes; a shorter folder helps"
      throw bad(path.line, key, "\"\(path.value)\"", expected)
    }
    return path
  }

  fileprivate func socket(
    _ key: String, _ folder: String, _ uniques: inout UniqueValues
  ) throws(ConfigurationError) -> String? {
    guard let path = try socketPath(key, folder) else { return nil }
    try uniques.add("the socket", path.value, at: path.line)
    return path.value
  }

  fileprivate func command(_ key: String) throws(ConfigurationError) -> [String]? {
    guard let words = try strings(key) else { return nil }
    guard let program = words.value.first, !program.isEmpty else {
      throw bad(
        words.line, key, "without a program", "the program and its arguments, such as [\"qemu\", \"-m\", \"1G\"]")
    }
    return words.value
  }
}

extension Configuration {
  /// Whether a display or a VM may be called that.
  public static func isName(_ text: String) -> Bool {
    guard (1...maximumNameLength).contains(text.utf8.count), let first = text.utf8.first else { return false }
    return isLetterOrDigit(first)
      && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }

  /// What ``windowSize(_:)`` reads, for messages.
  public static let windowExpectation = "0 or an amount up to 1T such as 256M or 8GiB"

  /// Reads the size of a host-visible region: 0 for none.
  public static func windowSize(_ text: String) -> Int? {
    if text == "0" { return 0 }
    guard let size = MemorySize(text), size.bytes <= maximumWindow else { return nil }
    return size.bytes
  }

  /// Reads a size that a display or a scanout can have.
  public static func size(_ text: String) -> Size? {
    guard let size = Size(text), extents.contains(Int(size.width)), extents.contains(Int(size.height)) else {
      return nil
    }
    return size
  }
}

/// Values that may be there once only.
struct UniqueValues {
  private var lines: [String: Int] = [:]

  mutating func add(_ what: String, _ value: String, at line: Int) throws(ConfigurationError) {
    let first = lines.updateValue(line, forKey: "\(what) \(value)")
    if let first { throw ConfigurationError(line: line, .duplicate(what: what, value: value, firstLine: first)) }
  }
}
