extension MemoryMapping {
  /// How many pieces this process may have mapped at a time: systems do not say, so a number that each of them grants.
  public static let maximumPieces = 32_768
}
