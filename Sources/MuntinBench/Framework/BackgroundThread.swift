import Glibc

/// A thread that runs one function; join it before what it uses goes.
final class BackgroundThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private var thread = pthread_t()

  /// Starts.
  init(_ run: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(Body(run)).toOpaque()
    let failure = pthread_create(&thread, nil, { argument in
      if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
      return nil
    }, body)
    precondition(failure == 0, "no thread")
  }

  /// Waits for its end.
  func join() {
    pthread_join(thread, nil)
  }
}
