import Buffers
import Testing

@testable import Supervisor

/// A configuration that uses every key.
let fullConfiguration = """
  # Two machines, two displays.
  [hub]
  socket = "/run/muntin/hub.sock"
  lease_limit = 2.5

  [[display]]
  name = "wall"
  size = "1920x720"
  output = "vnc=127.0.0.1:5901"
  refresh = 30
  password_file = "secret"
  sees_guest_memory = false

  [[display]]
  name = "spare"
  size = "640x480"
  output = "headless"

  [[vm]]
  name = "alpha"
  socket = "/run/muntin/alpha.sock"
  memory_limit = "256M"
  allocate = "host"
  heap = "system"
  host_visible = "1G"
  blob_alignment = "16K"
  channel = "hub"
  wayland = "wayland-0"
  virgl = true
  venus = true
  render_node = "/dev/dri/renderD128"
  sandbox = "log"
  hang_seconds = 5
  share_displays = true
  limits = { buffers = 100, imported = "1G", guest_memory = 4096 }
  command = [
    "qemu-system-x86_64",  # found in PATH
    "-m", "1G",
  ]
  restart = true

    [[vm.scanout]]
    display = "wall"
    x = 0
    y = 0
    width = 960
    height = 720
    layer = 2
    scale = "fill"
    opacity = 0.5

    [[vm.scanout]]
    display = "spare"
    x = 10
    y = 20
    width = 320
    height = 200

  [[vm]]
  name = "beta"
  socket = "beta.sock"
  memory_limit = 1048576
  host_visible = "0"
  sees_memory_of = ["alpha"]
  scanout = [
    { display = "wall", x = 960, y = 0, width = 960, height = 720, scale = "none" },
    { width = 640, height = 400 },
  ]

  [[application]]
  name = "camera"
  user = 1234
  memory_limit = "64M"

  [[application]]
  name = "recorder"
  user = "root"

  [[grant]]
  from = "application:camera"
  buffer = "front"
  to = "vm:alpha"
  access = "read-write"

  [[grant]]
  from = "vm:alpha"
  to = "display:wall"
  """

func configuration(_ text: String) throws -> Configuration {
  try Configuration(text: Array(text.utf8), file: "/etc/muntin/test.toml")
}

/// A valid file whose one `[[vm]]` and `[[vm.scanout]]` can be changed.
func configuration(
  hub: String = "", display: String = "", machine: String = "", scanout: String = "", more: String = ""
) -> String {
  """
  \(hub)
  [[display]]
  name = "main"
  size = "800x600"
  output = "headless"
  \(display)
  [[vm]]
  name = "alpha"
  socket = "/tmp/alpha.sock"
  \(machine)
  [[vm.scanout]]
  display = "main"
  x = 0
  y = 0
  width = 800
  height = 600
  \(scanout)
  \(more)
  """
}

/// The error of a text that must have one.
func error(in text: String) -> ConfigurationError? {
  do {
    _ = try Configuration(text: Array(text.utf8), file: "t.toml")
    return nil
  } catch {
    return error
  }
}

@Suite struct ConfigurationTests {
  @Test func everyKeyIsRead() throws {
    let read = try configuration(fullConfiguration)
    #expect(read.hubSocket == "/run/muntin/hub.sock")
    #expect(
      read.displays == [
        .init(
          name: "wall", size: Size(width: 1920, height: 720), output: .vnc(address: "127.0.0.1", port: 5901),
          refresh: 30, passwordFile: "/etc/muntin/secret", seesGuestMemory: false),
        .init(name: "spare", size: Size(width: 640, height: 480), output: .headless),
      ])
    #expect(read.machines.count == 2)
    let alpha = try #require(read.machines.first)
    #expect(alpha.command == ["qemu-system-x86_64", "-m", "1G"])
    #expect(alpha.restart)
    #expect(alpha.memoryLimit == 256 << 20)
    #expect(
      alpha.allocation == .host && alpha.heap == "system" && alpha.hostVisible == 1 << 30
        && alpha.blobAlignment == .pages16K && alpha.channel == .hub && alpha.sharesDisplays
        && alpha.wayland == "/etc/muntin/wayland-0")
    #expect(alpha.hasVirgl && alpha.hasVenus && alpha.renderNode == "/dev/dri/renderD128" && alpha.hangSeconds == 5)
    #expect(alpha.sandbox == .log)
    #expect(alpha.limits == ["buffers": 100, "imported": 1 << 30, "guest_memory": 4096])
    #expect(
      alpha.scanouts == [
        .init(
          display: "wall", area: Rectangle(x: 0, y: 0, width: 960, height: 720), layer: 2, scale: .fill, opacity: 0.5),
        .init(
          display: "spare", area: Rectangle(x: 10, y: 20, width: 320, height: 200), layer: 0, scale: .fit, opacity: 1),
      ])
  }

  @Test func programsAndGrantsAreRead() throws {
    let read = try configuration(fullConfiguration)
    #expect(read.leaseLimit == 2.5)
    #expect(
      read.applications == [
        .init(name: "camera", user: 1234, memoryLimit: 64 << 20), .init(name: "recorder", user: 0),
      ])
    let (camera, alpha) = (
      Configuration.Party(kind: .application, name: "camera"), Configuration.Party(kind: .vm, name: "alpha")
    )
    #expect(
      read.grants == [
        .init(owner: camera, grantee: alpha, buffer: "front", access: .readWrite),
        .init(owner: alpha, grantee: .init(kind: .display, name: "wall"), access: .read),
      ])
  }

  @Test func aScreenMayBeGranted() throws {
    let more = "[[grant]]\nfrom = \"beta\"\nto = \"vm:alpha\"\ndisplay = 1\n"
    let (alpha, beta) = (Configuration.Party(kind: .vm, name: "alpha"), Configuration.Party(kind: .vm, name: "beta"))
    let read = try configuration(fullConfiguration + "\n" + more)
    #expect(read.grants.last == .init(owner: beta, grantee: alpha, display: 1, access: .read))
  }

  @Test func aRelativePathBeginsAtTheFilesFolder() throws {
    #expect(try configuration(fullConfiguration).machines.last?.socket == "/etc/muntin/beta.sock")
  }

  @Test func aMachineMayBeWrittenInline() throws {
    let beta = try #require(try configuration(fullConfiguration).machines.last)
    #expect(beta.memoryLimit == 1 << 20)
    #expect(
      beta.allocation == nil && beta.heap == nil && beta.hostVisible == 0 && beta.blobAlignment == nil
        && beta.channel == nil && !beta.sharesDisplays)
    #expect(beta.scanouts.first?.scale == Configuration.ScaleMode.none)
  }

  @Test func aScreenMayBeOnNoDisplay() throws {
    let screen = try #require(try configuration(fullConfiguration).machines.last?.scanouts.last)
    #expect(screen.display == nil && screen.area == Rectangle(x: 0, y: 0, width: 640, height: 400))
  }

  @Test func windowsLineEndsAndAByteOrderMarkAreAccepted() throws {
    let text =
      "\u{FEFF}" + fullConfiguration.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
    #expect(try configuration(text) == configuration(fullConfiguration))
  }

  @Test func noFileSaysSo() {
    let failure = #expect(throws: ConfigurationError.self) { try Configuration(file: "/nonexistent/x.toml") }
    #expect(
      failure?.description
        == "/nonexistent/x.toml: cannot read the configuration: open /nonexistent/x.toml: No such file or directory")
  }
}

@Suite struct ConfigurationErrorTests {
  /// Each: what is put where, the line it stands on, and part of what must be said.
  @Test(arguments: [
    (configuration(hub: "[hub]\nsokcet = \"/x\""), 2, "did you mean \"socket\"?"),
    (configuration(hub: "title = 3"), 1, "the file has no key \"title\""),
    (configuration(hub: "hub = 3"), 1, "\"[hub]\" must be a table, but is an integer"),
    (
      configuration(display: "colour = 1"), 6,
      "its keys are name, size, output, refresh, password_file, sees_guest_memory"
    ),
    (
      configuration(display: "sees_guest_memory = 1"), 6,
      "\"sees_guest_memory\" must be true or false, but is an integer"
    ),
    (configuration(display: "refresh = 0"), 6, "\"refresh\" cannot be 0; it takes 1 to 240"),
    (configuration(display: "refresh = \"fast\""), 6, "\"refresh\" must be an integer, but is a string"),
    (configuration(display: "refresh = 1979-05-27"), 6, "but is a date or time"),
    (configuration(machine: "memory_limit = \"12 apples\""), 10, "cannot be \"12 apples\"; it takes an amount"),
    (configuration(machine: "memory_limit = 0"), 10, "cannot be 0"),
    (configuration(machine: "allocate = \"both\""), 10, "cannot be \"both\"; it takes \"guest\" or \"host\""),
    (configuration(machine: "heap = \"../null\""), 10, "such as \"system\""),
    (configuration(machine: "host_visible = \"2T\""), 10, "cannot be \"2T\"; it takes 0 or an amount up to 1T"),
    (configuration(machine: "blob_alignment = \"8K\""), 10, "cannot be \"8K\""),
    (configuration(machine: "channel = \"wayland\""), 10, "cannot be \"wayland\"; it takes \"hub\""),
    (configuration(machine: "channel = \"hub\"\nhost_visible = \"0\""), 10, "channel needs a host-visible region"),
    (configuration(machine: "wayland = \"w\"\nhost_visible = \"0\""), 10, "wayland needs a host-visible region"),
    (configuration(machine: "venus = true\nhost_visible = \"0\""), 10, "venus needs a host-visible region"),
    (configuration(machine: "render_node = \"/dev/dri/renderD128\""), 10, "virgl"),
    (configuration(machine: "hang_seconds = 0"), 10, "\"hang_seconds\" cannot be 0; it takes 1 to 3600"),
    (configuration(machine: "wayland = \"\""), 10, "it takes a path"),
    (configuration(machine: "wayland = \"/\(String(repeating: "w", count: 107))\""), 10, "of at most 107 bytes"),
    (configuration(machine: "memory_limit = 1.5"), 10, "is a number with a fraction"),
    (configuration(machine: "command = []"), 10, "cannot be without a program"),
    (configuration(machine: "command = [\n\"a\",\n3]"), 12, "must be an array of strings, but is an integer"),
    (configuration(machine: "command = \"qemu\""), 10, "must be an array of strings, but is a string"),
    (configuration(machine: "restart = true"), 10, "means nothing without \"command\""),
    (configuration(machine: "restart = \"yes\""), 10, "must be true or false"),
    (configuration(machine: "sees_memory_of = [\"beta\"]"), 10, "there is no vm:beta; there is \"alpha\""),
    (configuration(machine: "sees_memory_of = \"alpha\""), 10, "must be an array of strings"),
    (configuration(scanout: "layer = 1001"), 17, "-1000 to 1000"),
    (configuration(scanout: "opacity = 1.01"), 17, "0.0 to 1.0"),
    (configuration(scanout: "opacity = nan"), 17, "0.0 to 1.0"),
    (configuration(scanout: "scale = \"big\""), 17, "it takes \"fit\", \"fill\", \"none\""),
    (configuration(more: "[[display]]\nname = \"main\""), 19, "display \"main\" is there already, on line 3"),
    (configuration(more: "[[vm]]\nname = \"alpha\""), 19, "VM \"alpha\" is there already, on line 8"),
    (
      configuration(more: "[[vm]]\nname = \"b\"\nsocket = \"/tmp/alpha.sock\""), 20,
      "the socket \"/tmp/alpha.sock\" is there already, on line 9"
    ),
    (configuration(more: "[[vm]]\nname = \"b\"\nsocket = \"/b\""), 18, "VM \"b\" has 0 scanouts"),
    (configuration(more: "[[vm]]\nname = \"b\""), 18, "[[vm]] needs the key \"socket\"; add it"),
    (configuration(more: "[[vm.scanout]]\ndisplay = \"mian\""), 19, "the displays are \"main\""),
    (configuration(more: "[[vm.scanout]]\ndisplay = \"main\""), 18, "[[vm.scanout]] needs the key \"x\""),
    (configuration(more: "[[vm]]\nname = \"a b\""), 19, "the first a letter or a digit"),
    (configuration(more: "[[vm]]\nname = \"\""), 19, "1 to 63 letters"),
    (configuration(more: "x = ]"), 18, "not valid TOML"),
    (configuration(more: "z = 1\nz = 2"), 19, "not valid TOML"),
    (configuration(hub: "[hub]\nlease_limit = 0"), 2, "\"lease_limit\" cannot be 0.0; it takes 0.1 to 3600.0"),
    (configuration(machine: "limits = { bufers = 1 }"), 10, "did you mean \"buffers\"?"),
    (configuration(machine: "limits = { buffers = -1 }"), 10, "\"buffers\" cannot be -1"),
    (configuration(machine: "limits = { host_memory = 1 }"), 10, "[vm.limits] has no key \"host_memory\""),
    (configuration(more: "[[application]]\nuser = 1"), 18, "[[application]] needs the key \"name\""),
    (configuration(more: "[[application]]\nname = \"a\"\nuser = \"no such user\""), 20, "a user of this machine"),
    (configuration(more: "[[application]]\nname = \"a\"\nuser = -1"), 20, "\"user\" cannot be -1"),
    (
      configuration(more: "[[application]]\nname = \"a\"\n[[application]]\nname = \"a\""), 21,
      "application \"a\" is there already, on line 19"
    ),
    (configuration(more: "[[grant]]\nfrom = \"vm:alpha\""), 18, "[[grant]] needs the key \"to\""),
    (
      configuration(more: "[[grant]]\nfrom = \"program:alpha\"\nto = \"vm:alpha\""), 19,
      "it takes a VM's name, \"vm:NAME\", \"application:NAME\" or \"display:NAME\""
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alhpa\"\nto = \"application:x\""), 19,
      "there is no vm:alhpa; there is \"alpha\""
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alpha\"\nto = \"application:x\"\naccess = \"all\""), 21,
      "it takes \"read\" or \"read-write\""
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alpha\"\nto = \"vm:alpha\"\ndisplay = 16"), 21,
      "\"display\" cannot be 16; it takes 0 to 15"
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"application:x\"\nto = \"vm:alpha\"\ndisplay = 0"), 21,
      "the owner is no VM"
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alpha\"\nto = \"application:x\"\ndisplay = 0"), 20,
      "\"to\" takes a VM beside \"display\""
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alpha\"\nto = \"vm:alpha\"\ndisplay = 0\nbuffer = \"x\""), 21,
      "make two grants"
    ),
    (
      configuration(more: "[[grant]]\nfrom = \"vm:alpha\"\nto = \"vm:alpha\"\ndisplay = 0\naccess = \"read-write\""),
      22, "\"access\" takes \"read\" for a display"
    ),
    (configuration(machine: "share_displays = true"), 10, "means nothing without \"channel\""),
    (configuration(more: "[[vm.scanout]]\nwidth = 32"), 18, "[[vm.scanout]] needs the key \"height\""),
    (
      configuration(more: "[[vm.scanout]]\nwidth = 32\nheight = 32\nlayer = 1"), 21,
      "\"layer\" means nothing without \"display\""
    ),
    ("", 1, "no [[display]]"),
    ("display = 5", 1, "must be an array of tables"),
    ("display = [ 5 ]", 1, "must be a table"),
  ])
  func aWrongFileIsRefused(text: String, line: Int, message: String) throws {
    let found = try #require(error(in: text))
    #expect(found.line == line, "\(found)")
    #expect("\(found)".hasPrefix("t.toml:\(line): "))
    #expect("\(found)".contains(message), "\(found)")
  }

  @Test(arguments: [("x = 1", 13), ("y = 1", 14), ("width = 801", 15), ("height = 8192", 16)])
  func anAreaOutsideItsDisplayIsRefusedAtItsTable(change: String, line: Int) throws {
    let key = change.prefix { $0 != " " }
    let lines = configuration().split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[line - 1].hasPrefix("\(key) = "))
    let text = lines.map { $0.hasPrefix("\(key) = ") ? change : String($0) }.joined(separator: "\n")
    let found = try #require(error(in: text))
    #expect(found.line == 11)
    guard case .areaOutsideDisplay(_, "main", Size(width: 800, height: 600)) = found.problem else {
      Issue.record("\(found)")
      return
    }
  }

  @Test func seventeenScanoutsAreTooMany() throws {
    let scanout = "\n[[vm.scanout]]\ndisplay = \"main\"\nx = 0\ny = 0\nwidth = 32\nheight = 32"
    #expect(error(in: configuration(more: String(repeating: scanout, count: 15))) == nil)
    let found = try #require(error(in: configuration(more: String(repeating: scanout, count: 16))))
    #expect(found.problem == .scanoutCount(17, machine: "alpha"))
    #expect(found.line == 7)
  }

  @Test(arguments: ["0x600", "800", "800x", "800x600x2", "-1x5", "8193x600", "31x600", "99999999999x1", "８00x600"])
  func aBadSizeIsRefused(size: String) throws {
    let text = configuration().split(separator: "\n").joined(separator: "\n")
      .split(separator: "800x600", maxSplits: 1).joined(separator: size)
    let found = try #require(error(in: text))
    #expect(found.line == 3)
    guard case .badValue("size", "\"\(size)\"", _) = found.problem else {
      Issue.record("\(found)")
      return
    }
  }

  @Test func aSocketPathThatNoSocketCanHaveIsRefused() throws {
    let found = try #require(error(in: "[hub]\nsocket = \"/\(String(repeating: "a", count: 107))\""))
    #expect(found.line == 2)
    #expect("\(found)".contains("at most 107 bytes"))
  }

  @Test func vncBeyondThisMachineNeedsAPassword() throws {
    let text = "[[display]]\nname = \"a\"\nsize = \"640x480\"\noutput = \"vnc=0.0.0.0\""
    #expect(error(in: text)?.problem == .passwordNeeded(address: "vnc=0.0.0.0:5900"))
    #expect(error(in: text)?.line == 4)
    #expect(error(in: text + "\npassword_file = \"/p\"") == nil)
  }

  @Test func twoDisplaysCannotHaveOneVNCAddress() throws {
    let display = "[[display]]\nsize = \"640x480\"\noutput = \"vnc=127.0.0.1\"\n"
    let found = try #require(error(in: display + "name = \"a\"\n" + display + "name = \"b\"\n"))
    #expect(found.line == 7)
  }

  @Test func aKeyAsDeepAsTheFileIsLongIsRefused() throws {
    let found = try #require(error(in: "\n" + Array(repeating: "a", count: 200_000).joined(separator: ".") + " = 1"))
    #expect(found.line == 2)
    let nested = try #require(error(in: "a = " + String(repeating: "[", count: 200_000)))
    #expect(nested.line == 1)
  }

  @Test func bytesThatAreNoTextAreRefusedAtTheirLine() throws {
    for bytes: [UInt8] in [[0], [0xFF], [0xC3, 0x28]] {
      let found = #expect(throws: ConfigurationError.self) {
        try Configuration(text: Array("# first\n# second ".utf8) + bytes, file: "t.toml")
      }
      #expect(found?.line == 2)
    }
  }

  @Test func aKeyWithANulInItIsNotTakenForTheKeyBeforeTheNul() {
    #expect(error(in: configuration(machine: "\"memory_limit\\u0000x\" = 5"))?.line == 10)
  }
}

@Suite struct ValueTests {
  @Test(arguments: [
    ("1", 1), ("4096", 4096), ("512K", 512 << 10), ("256M", 256 << 20), ("256MiB", 256 << 20), ("1GiB", 1 << 30),
    ("2T", 2 << 40),
  ])
  func amountsOfMemory(text: String, bytes: Int) {
    #expect(MemorySize(text)?.bytes == bytes)
  }

  @Test(arguments: ["", "0", "M", "-1", "1.5G", "1 G", "1GB", "9999999999999T", "99999999999999999999", "1m", "٣"])
  func noAmountsOfMemory(text: String) {
    #expect(MemorySize(text) == nil)
  }

  @Test func anAmountIsWrittenInItsLargestWholeUnit() {
    #expect(MemorySize(bytes: 256 << 20)?.description == "256M")
    #expect(MemorySize(bytes: 1025)?.description == "1025")
  }

  @Test(arguments: [
    ("headless", "headless"), ("vnc=127.0.0.1", "vnc=127.0.0.1:5900"), ("vnc=127.0.0.1:1", "vnc=127.0.0.1:5901"),
    ("vnc=localhost:5901", "vnc=127.0.0.1:5901"), ("vnc=:2", "vnc=127.0.0.1:5902"), ("vnc=[::1]", "vnc=[::1]:5900"),
    ("vnc=[::1]:65535", "vnc=[::1]:65535"), ("vnc=127.0.0.1:100", "vnc=127.0.0.1:100"),
  ])
  func outputs(text: String, description: String) {
    #expect(DisplayOutput(text)?.description == description)
  }

  @Test(arguments: [
    "", "vnc", "vnc=", "vnc=example.org", "vnc=127.0.0.1:", "vnc=127.0.0.1:65536", "vnc=127.0.0.1:+5",
    "vnc=127.0.0", "vnc=256.0.0.1", "vnc=::1", "vnc=[::1", "vnc=[]", "vnc=[::1]x", "Headless", "window",
  ])
  func noOutputs(text: String) {
    #expect(DisplayOutput(text) == nil)
  }

  @Test func onlyThePlacesOfScreensAreNoDifference() throws {
    let old = try configuration(fullConfiguration)
    for (from, to) in [
      ("x = 960", "x = 900"), ("width = 320", "width = 400"), ("layer = 2", "layer = 3"),
      ("display = \"spare\"", "display = \"wall\""), ("opacity = 0.5", "scale = \"fit\""),
    ] {
      let text =
        from.hasPrefix("opacity")
        ? fullConfiguration.replacing(from, with: "") : fullConfiguration.replacing(from, with: to)
      let new = try configuration(text)
      #expect(new != old && new.difference(from: old) == nil, "\(from)")
    }
  }

  @Test(arguments: [
    ("/run/muntin/hub.sock", "/run/muntin/h.sock", "the hub's socket"),
    ("640x480", "800x600", "display \"spare\""), ("\"256M\"", "\"128M\"", "VM \"alpha\""),
    ("beta.sock", "b.sock", "VM \"beta\""), ("name = \"beta\"", "name = \"gamma\"", "VM \"gamma\""),
    ("-m", "-n", "VM \"alpha\""), ("sees_memory_of = [\"alpha\"]", "", "VM \"beta\""),
  ])
  func everythingElseIsADifference(from: String, to: String, name: String) throws {
    let old = try configuration(fullConfiguration)
    #expect(try configuration(fullConfiguration.replacing(from, with: to)).difference(from: old) == name)
  }

  @Test func aVMOrAScreenMoreOrLessIsADifference() throws {
    let one = try configuration(fullConfiguration)
    let text = fullConfiguration + "\n[[vm]]\nname = \"gamma\"\nsocket = \"c\"\n"
    let screen = "[[vm.scanout]]\ndisplay = \"wall\"\nx = 0\ny = 0\nwidth = 64\nheight = 64\n"
    let two = try configuration(text + screen)
    #expect(two.difference(from: one) == "VM \"gamma\"" && one.difference(from: two) == "VM \"gamma\"")
    #expect(try configuration(text + screen + screen).difference(from: two) == "VM \"gamma\"")
  }
}
