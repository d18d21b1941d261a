import Glibc
import Testing

@testable import Platform

@Suite struct PeerTests {
  @Test func `the kernel names the peer`() throws {
    let place = TemporaryPath()
    let listener = try UnixSocket.listen(path: place.path, kind: .sequencedPacket)
    let client = try UnixSocket.connect(path: place.path, kind: .sequencedPacket)
    guard let server = try UnixSocket.accept(listener.raw) else {
      Issue.record("nobody to accept")
      return
    }
    let credentials = try #require(try UnixSocket.peerCredentials(server.raw))
    #expect(credentials.pid == getpid())
    #expect(credentials.uid == getuid())
    #expect(try UnixSocket.accept(listener.raw) == nil)
    #expect(client.raw >= 0)
  }
}
