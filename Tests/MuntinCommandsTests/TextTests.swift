import Buffers
import Hub
import HubProtocol
import Listing
import Supervisor
import Testing

@testable import MuntinCommands

@Suite struct TextTests {
  @Test func columnsAreAsWideAsTheyNeed() {
    var table = TextTable([.init("NAME"), .init("COUNT", .right), .init("LAST")])
    table.add(["alpha", "7", ""])
    table.add(["b\u{1B}", "12345678", "x"])
    #expect(table.description == "NAME      COUNT  LAST\nalpha         7\nb?     12345678  x")
  }

  @Test(
    arguments: [
      (0, "0 B"), (999, "999 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (1_023_999, "1000.0 KiB"),
      (268_435_456, "256.0 MiB"), (UInt64.max, "16777216.0 TiB"),
    ] as [(UInt64, String)])
  func bytesForPeople(bytes: UInt64, text: String) {
    #expect(ByteText.of(bytes) == text)
  }

  @Test func jsonIsEscaped() {
    let value = JSONValue.object([
      ("a\"b", .string("x\\\n\u{1}é")), ("n", .null), ("l", .array([.integer(-1), .boolean(true)])),
    ])
    #expect(value.description == #"{"a\"b":"x\\\n\u0001é","n":null,"l":[-1,true]}"#)
    #expect(JSONValue.array([]).lines == "[]")
    #expect(JSONValue.array([.integer(1), .integer(2)]).lines == "[\n  1,\n  2\n]")
  }

  @Test(arguments: [
    ("plain", "plain"), ("", "''"), ("a b", "'a b'"), ("it's", #"'it'\''s'"#), ("$(x)", "'$(x)'"), ("a,b=c", "a,b=c"),
  ])
  func wordsForAShell(word: String, quoted: String) {
    #expect(ShellWord.quoted(word) == quoted)
  }

  @Test(arguments: [("x", "x"), ("", "\"\""), ("a b", "\"a b\""), ("a\"\\\n", #""a\"\\?""#)])
  func valuesInTheLog(value: String, quoted: String) {
    #expect(LineLogHandler.quoted(value) == quoted)
  }
}

@Suite struct HubListTests {
  private func name(_ text: String) throws -> PeerName {
    try #require(PeerName(text))
  }

  private func vms() throws -> [VMRecord] {
    [
      VMRecord(
        name: try name("alpha"), socketPath: "/run/a.sock", memoryLimit: 256 << 20, bytes: 3 << 20, flushes: 42,
        buffers: 2, state: .connected, processID: 17,
        ledger: LedgerReport(
          totals: LedgerAmounts(
            guestMemory: 8192, hostAllocated: 3 << 20, imported: 1024, bookkeeping: 48, buffers: 3, contexts: 1,
            descriptors: 4, commands: 2), promised: 4096, limits: .usualLimits, pixelsCopied: 99),
        scanouts: [
          .init(
            scanout: ScanoutIndex(0), isOn: true, mode: Size(width: 960, height: 720),
            shown: Size(width: 1024, height: 768), flushes: 42),
          .init(
            scanout: ScanoutIndex(1), isOn: false, mode: Size(width: 640, height: 480),
            shown: Size(width: 0, height: 0),
            flushes: 0),
        ]),
      VMRecord(
        name: try name("b"), socketPath: "", memoryLimit: 0, bytes: 0, flushes: 0, buffers: 0, state: .expected,
        processID: 0, scanouts: []),
    ]
  }

  @Test func machinesForPeople() throws {
    #expect(
      HubList(vms: try vms()).table.description == """
        NAME   STATE      SCREENS                 MEMORY      LIMIT   SHARED  IMPORTED  BUFFERS  FLUSHES  PID  SOCKET
        alpha  connected  1024x768, 640x480 off  3.0 MiB  256.0 MiB  8.0 KiB   1.0 KiB        3       42   17  /run/a.sock
        b      expected   -                          0 B          -      0 B       0 B        0        0    -  -
        """)
  }

  @Test func machinesForPrograms() throws {
    #expect(
      HubList(vms: try vms()).json.description
        == #"[{"name":"alpha","state":"connected","pid":17,"socket":"/run/a.sock","memory_limit":268435456,"#
        + #""memory_used":3145728,"pixels_copied":99,"buffers":2,"flushes":42,"scanouts":[{"scanout":0,"on":true,"mode":"960x720","#
        + #""shown":"1024x768","flushes":42},{"scanout":1,"on":false,"mode":"640x480","shown":null,"flushes":0}],"ledger":{"#
        + #""guest_memory":{"used":8192,"limit":null},"host_memory":{"used":3145728,"limit":268435456},"#
        + #""imported":{"used":1024,"limit":1073741824},"bookkeeping":{"used":48,"limit":67108864},"rendering":{"used":0,"limit":1073741824},"#
        + #""buffers":{"used":3,"limit":65536},"contexts":{"used":1,"limit":1024},"#
        + #""descriptors":{"used":4,"limit":16384},"commands":{"used":2,"limit":1024},"promised":4096}},"#
        + #"{"name":"b","state":"expected","pid":null,"socket":"","memory_limit":null,"memory_used":0,"pixels_copied":0,"buffers":0,"#
        + #""flushes":0,"scanouts":[],"ledger":{"guest_memory":{"used":0,"limit":null},"#
        + #""host_memory":{"used":0,"limit":null},"imported":{"used":0,"limit":null},"#
        + #""bookkeeping":{"used":0,"limit":null},"rendering":{"used":0,"limit":null},"buffers":{"used":0,"limit":null},"#
        + #""contexts":{"used":0,"limit":null},"descriptors":{"used":0,"limit":null},"#
        + #""commands":{"used":0,"limit":null},"promised":0}}]"#)
  }

  @Test func displaysForPeopleAndPrograms() throws {
    let list = HubList(displays: [
      DisplayRecord(
        name: try name("wall"), output: "vnc 127.0.0.1:5900", size: Size(width: 1920, height: 720),
        refreshMillihertz: 59_940, processID: 3, layers: 2, hasFrame: true),
      DisplayRecord(
        name: try name("x"), output: "", size: Size(width: 0, height: 0), refreshMillihertz: 0, processID: 0, layers: 0,
        hasFrame: false),
    ])
    #expect(
      list.table.description == """
        NAME  SIZE         HZ  OUTPUT              LAYERS  PID
        wall  1920x720  59.94  vnc 127.0.0.1:5900       2    3
        x     -             -  not connected            0    -
        """)
    #expect(
      list.json.description
        == #"[{"name":"wall","size":"1920x720","refresh":59940,"output":"vnc 127.0.0.1:5900","layers":2,"pid":3,"#
        + #""frame":true},{"name":"x","size":null,"refresh":0,"output":"","layers":0,"pid":null,"frame":false}]"#)
  }

  @Test func grantsForPeopleAndPrograms() throws {
    let (camera, recorder) = (Party(.application, try name("camera")), Party(.vm, try name("alpha")))
    let list = HubList(grants: [
      GrantRecord(
        id: GrantID(rawValue: 1), owner: camera, grantee: recorder, object: .everything, access: .read, form: .shared,
        isConfigured: true),
      GrantRecord(
        id: GrantID(rawValue: 12), owner: camera, grantee: recorder, object: .name(try name("front")),
        access: .readWrite),
      GrantRecord(
        id: GrantID(rawValue: 13), owner: recorder, grantee: recorder, object: .scanout(ScanoutIndex(2)), access: .read,
        form: .shadow),
    ])
    #expect(
      list.table.description == """
        NUMBER  OWNER               TO        OBJECT     ACCESS      FORM    FROM
             1  application:camera  vm:alpha  all        read        shared  configuration
            12  application:camera  vm:alpha  front      read-write  -       request
            13  vm:alpha            vm:alpha  display 2  read        shadow  request
        """)
    #expect(
      list.json.description
        == #"[{"number":1,"owner":"application:camera","to":"vm:alpha","buffer":null,"display":null,"access":"read","#
        + #""form":"shared","configured":true},{"number":12,"owner":"application:camera","to":"vm:alpha","buffer":"front","#
        + #""display":null,"access":"read-write","form":null,"configured":false},"#
        + #"{"number":13,"owner":"vm:alpha","to":"vm:alpha","buffer":null,"display":2,"access":"read","form":"shadow","#
        + #""configured":false}]"#)
  }

  @Test func buffersForPeople() throws {
    let id = BufferID.random()
    let layout = try #require(PixelLayout(size: Size(width: 640, height: 480), format: .xrgb8888))
    let list = HubList(buffers: [
      BufferRecord(
        buffer: BufferDescription(id: id, layout: layout), memory: MemoryDescription(hostFileOf: layout),
        owner: Party(.vm, try name("alpha")), bytes: 640 * 480 * 4, state: .leased, leases: 2),
      BufferRecord(
        buffer: BufferDescription(id: id, layout: layout),
        memory: MemoryDescription(kind: .ranges, side: .guest, reason: .noUDMABuf, byteCount: 640 * 480 * 4),
        owner: Party(.vm, try name("beta")), bytes: 640 * 480 * 4, state: .registered, leases: 0,
        trouble: "display left and display right disagree on formats"),
    ])
    #expect(
      list.table.description == """
        ID                                    OWNER  SIZE     FORMAT   MEMORY  SIDE   WAY     STATE       LEASES  WHY
        \(id)  alpha  640x480  XR24    1.2 MiB  host   copy    leased           2  2D resource
        \(id)  beta   640x480  XR24    1.2 MiB  guest  ranges  registered       0  no /dev/udmabuf; display left and display right disagree on formats
        """)
  }
}

@Suite struct LayoutConversionTests {
  @Test func aConfigurationsPlacesBecomeTheHubs() throws {
    let text = """
      [[display]]
      name = "wall"
      size = "1280x480"
      output = "headless"
      [[vm]]
      name = "alpha"
      socket = "/a"
      [[vm.scanout]]
      display = "wall"
      x = 0
      y = 0
      width = 640
      height = 480
      [[vm.scanout]]
      display = "wall"
      x = 640
      y = 10
      width = 320
      height = 240
      layer = -5
      scale = "none"
      opacity = 0.5
      """
    let layout = Layout(try Configuration(text: Array(text.utf8), file: "c.toml"))
    let wall = try #require(PeerName("wall"))
    let alpha = try #require(PeerName("alpha"))
    #expect(layout.displays == [.init(name: wall, size: Size(width: 1280, height: 480), seesGuestMemory: true)])
    #expect(
      layout.placements == [
        .init(
          vm: alpha, scanout: ScanoutIndex(0), display: wall, area: Rectangle(x: 0, y: 0, width: 640, height: 480),
          mode: Size(width: 640, height: 480)),
        .init(
          vm: alpha, scanout: ScanoutIndex(1), display: wall, area: Rectangle(x: 640, y: 10, width: 320, height: 240),
          z: -5, scaleMode: .none, opacity: 128, mode: Size(width: 320, height: 240)),
      ])
  }
}
