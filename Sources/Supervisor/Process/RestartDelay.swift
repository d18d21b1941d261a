/// How long to wait before a part that died is started again: 100 ms, doubling to 5 s, from the start again once the
/// part has lived for 10 s.
struct RestartDelay {
  static let first = Duration.milliseconds(100)
  static let longest = Duration.seconds(5)
  static let steadyLife = Duration.seconds(10)

  private var following = first

  /// The delay after a life of that length.
  mutating func next(after life: Duration) -> Duration {
    if life >= Self.steadyLife { following = Self.first }
    defer { following = min(following * 2, Self.longest) }
    return following
  }
}
