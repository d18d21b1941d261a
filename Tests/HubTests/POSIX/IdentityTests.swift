import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct IdentityTests {
  @Test func `a name that the configuration gives to a user is nobody's where nobody says who connects`() throws {
    let world = try World { $0.applications = [PeerName("camera")!: .init(user: geteuid())] }
    let thief = try world.raw()
    try thief.hello(.application, "camera")
    #expect(try thief.refusal()?.code == .notPermitted)
    let free = try world.raw()
    try free.hello(.application, "free")
    _ = try free.wait("welcome") { if case .welcome = $0 { true } else { nil } }
  }

  @Test func `whoever reaches the socket is admitted, and the socket lets its owner in only`() throws {
    #expect(Hub.Configuration().admits(nil))
    let world = try World()
    var status = stat()
    #expect(lstat(world.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }
}
