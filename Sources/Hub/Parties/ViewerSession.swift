import Buffers
import HubProtocol
import Platform

/// The connection by which a VM's graphics card shows its guest one screen of another VM (protocol.md section 14): a
/// consumer of exactly one layer, for which nobody waits.
final class ViewerSession: Session {
  let hello: Hello
  let peer: Peer
  private unowned let hub: Hub
  /// What is told, and what is held.
  let consumer: ConsumerSession
  /// Which screen; nil until it has asked.
  private(set) var screen: ScreenKey?

  init(_ hello: Hello, peer: Peer, hub: Hub) {
    self.hello = hello
    self.peer = peer
    self.hub = hub
    consumer = ConsumerSession(hello, peer: peer, hub: hub)
  }

  /// Whose guest it is that looks.
  var party: Party { Party(.vm, hello.name) }

  func received(
    _ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) throws(Refusal) {
    switch message {
    case .application(.view(let screen)): try view(screen)
    case .bufferRelease: try consumer.received(message, serial: serial, descriptor: descriptor)
    default: throw Refusal(.notPermitted, reason: "not a viewer's message")
    }
  }

  private func view(_ wanted: ScreenKey) throws(Refusal) {
    guard screen == nil else { throw Refusal(.malformed, reason: "a viewer has one screen") }
    try peer.beginAnswer()
    guard hub.isVisible(wanted, to: party) else { throw .noSuchScreen }
    screen = wanted
    arrange()
    peer.endAnswer()
  }

  /// The screen may be there, or have another mode. Without it there is no layer.
  func arrange() {
    guard let screen else { return }
    guard let vm = hub.machines[screen.vm], let mode = vm.existing(screen.scanout)?.mode, !mode.isEmpty else {
      return consumer.arrange([])
    }
    let layer = LayerDescription(
      id: LayerID(vm: screen.vm, scanout: screen.scanout, display: hello.name, ordinal: 0), vm: screen.vm,
      scanout: screen.scanout, area: Rectangle(mode))
    consumer.arrange([(layer, vm)])
  }

  func pump() throws(Refusal) { try consumer.pump() }

  func ended() {
    consumer.ended()
    hub.forget(self)
  }
}
