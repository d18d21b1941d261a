import Glibc
import Platform
import Rendering
import Synchronization

/// The same inputs as ``fuzzRendering(_:)`` takes, for the library of this machine; nothing where there is none. A crash of
/// the library's own is no defect here: its process is expendable (Scripts/fuzz tells them apart).
@Sendable public func fuzzVirgl(_ input: UnsafeRawBufferPointer) {
  VirglWorker.shared.run(input)
}

/// A thread that has the library: one to a process, for the library's contexts belong to the thread that started it.
private final class VirglWorker: Sendable {
  static let shared = VirglWorker()

  private nonisolated(unsafe) let given = VirglWorker.semaphore(), done = VirglWorker.semaphore()
  private nonisolated(unsafe) let input = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: 1)
  /// One input at a time.
  private let turn = Mutex(())

  private static func semaphore() -> UnsafeMutablePointer<sem_t> {
    let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
    return semaphore
  }

  private init() {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<VirglWorker>.fromOpaque(context).takeUnretainedValue().work() }
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  func run(_ bytes: UnsafeRawBufferPointer) {
    turn.withLock { _ in
      input.initialize(to: bytes)
      sem_post(given)
      while sem_wait(done) != 0 {}
    }
  }

  private func work() {
    let loop = try? EventLoop()
    let renderer = try? VirglRenderer(VirglOptions())
    if let loop { try? renderer?.attach(to: loop) }
    if renderer == nil { print("virgl: the library, or a driver for it, is not there") }
    while true {
      while sem_wait(given) != 0 {}
      if let renderer, let loop {
        let host = RenderingHost(renderer: renderer, kinds: renderer.kinds) { _ in
          try? loop.runOnce(timeout: .zero)
        }
        fuzzRendering(input.pointee, by: host)
      }
      sem_post(done)
    }
  }
}
