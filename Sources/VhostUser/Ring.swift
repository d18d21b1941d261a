import Platform
import Virtqueue

/// One vring: what the front-end has said about it, and the queue while it runs (vhost-user.rst, "Ring states").
final class Ring {
  let index: Int
  /// SET_VRING_NUM; 0 while unknown.
  var size: UInt32 = 0
  /// SET_VRING_ADDR.
  var address: VringAddress?
  /// SET_VRING_BASE, or where the ring was stopped; nil: at its beginning.
  var base: UInt32?
  /// What GET_VRING_BASE answered, until the ring runs again or a new driver is recognised.
  var answeredBase: UInt32?
  /// SET_VRING_ENABLE.
  var isEnabled = false
  /// Whether a kick has come ("started" in the specification).
  var isKicked = false
  /// Why the queue cannot run, until the front-end sets the ring up differently.
  var failure: VirtqueueError?
  /// The queue, while the ring is started and has once been enabled.
  var queue: Virtqueue?

  var kick: SharedDescriptor?
  var kickToken: EventLoop.Token?
  var pollTimer: EventLoop.TimerToken?
  var call: SharedDescriptor? {
    didSet { queue?.callDescriptor = call }
  }
  var error: SharedDescriptor?

  init(index: Int) {
    self.index = index
  }

  var isRunning: Bool { queue != nil }

  /// Tells the front-end by its error descriptor that the ring goes no further.
  func fail(_ reason: VirtqueueError) {
    guard failure == nil else { return }
    failure = reason
    if let error { Doorbell.ring(error.raw) }
  }
}
