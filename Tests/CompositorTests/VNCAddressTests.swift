import Compositor
import Testing

@Suite("VNC addresses")
struct VNCAddressTests {
  @Test(
    "are read as viewers read them",
    arguments: [
      ("", "127.0.0.1:5900"), (":1", "127.0.0.1:5901"), (":5907", "127.0.0.1:5907"), ("::7", "127.0.0.1:7"),
      ("127.0.0.1", "127.0.0.1:5900"), ("127.0.0.1:5901", "127.0.0.1:5901"), ("localhost:2", "127.0.0.1:5902"),
      ("0.0.0.0:99", "0.0.0.0:5999"), ("[::1]:5901", "[::1]:5901"), ("[::]", "[::]:5900"),
      ("127.0.0.1::0", "127.0.0.1:0"),
    ])
  func reading(text: String, expected: String) throws {
    #expect(try VNCAddress(parsing: text).description == expected)
  }

  @Test(
    "that are none are errors",
    arguments: [
      "example.org:1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "1.2.3", "[::1", "[]:1",
      "[::1]1",
      "::1]:5901", "127.0.0.1:5901:2", "fe80::1", "127.0.0.1:\u{0661}",
    ])
  func rubbish(text: String) {
    #expect(throws: CompositorError.badAddress(text)) { try VNCAddress(parsing: text) }
  }

  @Test("know what only this machine reaches")
  func loopback() throws {
    for text in [":1", "127.3.4.5", "[::1]", "[0:0:0:0:0:0:0:1]"] { #expect(try VNCAddress(parsing: text).isLoopback) }
    for text in ["0.0.0.0", "192.168.1.1", "[::]", "[fe80::1]", "[::ffff:127.0.0.1]"] {
      #expect(try !VNCAddress(parsing: text).isLoopback)
    }
  }

  @Test("are part of an output's name")
  func outputs() throws {
    #expect(try OutputKind(parsing: "headless") == .headless)
    #expect(try OutputKind(parsing: "vnc") == .vnc(.standard))
    #expect(try OutputKind(parsing: "vnc=:1") == .vnc(VNCAddress(parsing: "127.0.0.1:5901")))
    #expect(throws: CompositorError.unknownOutput("wayland")) { try OutputKind(parsing: "wayland") }
  }
}
