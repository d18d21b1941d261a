import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct IdentityTests {
  @Test func `a name that the configuration gives to one user is that user's only`() throws {
    let world = try World {
      $0.applications = [
        PeerName("camera")!: .init(user: geteuid()), PeerName("other")!: .init(user: geteuid() + 1),
      ]
    }
    let camera = try world.raw()
    try camera.hello(.application, "camera")
    _ = try camera.wait("welcome") { if case .welcome = $0 { true } else { nil } }
    let thief = try world.raw()
    try thief.hello(.application, "other")
    #expect(try thief.refusal()?.code == .notPermitted)
  }

  @Test func `a user whom only the configuration admits is an application and nothing else`() throws {
    let world = try World {
      $0.admits = { _ in false }
      $0.applications = [PeerName("camera")!: .init(user: geteuid())]
    }
    for (role, name) in [
      (Role.application, "free"), (.producer, "camera"), (.consumer, "camera"), (.control, "camera"),
    ] {
      let peer = try world.raw()
      try peer.hello(role, name)
      #expect(try peer.refusal()?.code == .notPermitted, "\(role)")
    }
    let camera = try world.raw()
    try camera.hello(.application, "camera")
    _ = try camera.wait("welcome") { if case .welcome = $0 { true } else { nil } }
  }
}
