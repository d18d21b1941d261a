import Glibc
import TestSupport
import Testing

@testable import Platform

@Suite struct PeerTests {
  @Test func `the kernel names the peer`() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/socket"
    let listener = try UnixSocket.listen(path: path, kind: .sequencedPacket)
    let client = try UnixSocket.connect(path: path, kind: .sequencedPacket)
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
