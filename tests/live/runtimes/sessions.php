<?php
// sessions: a PHP program that keeps sessions in an array. It answers with what PHP itself counts.
class Session
{
    public string $user;
    public array $headers = [];
    public ?Session $next = null;

    public function __construct(int $number)
    {
        $this->user = "user number " . $number;
        for ($i = 0; $i < 4; $i++) {
            $this->headers["header $i of $number"] = str_repeat("v", 20 + $number % 300);
        }
    }
}

$kept = [];
$large = str_repeat("large ", 1000000);
$line = "";

function answer(string $prefix, int $count): void
{
    fwrite(STDOUT, $prefix . sprintf('{"pid":%d,"sessions":%d,"usage":%d}', getmypid(), $count, memory_get_usage()) . "\n");
}

answer("READY ", 0);
while (($line = fgets(STDIN)) !== false) {
    $words = explode(" ", trim($line));
    if ($words[0] === "quit") {
        break;
    }
    if ($words[0] === "step") {
        for ($i = 0; $i < (int) $words[1]; $i++) {
            $session = new Session(count($kept));
            $session->next = $kept ? $kept[count($kept) - 1] : null;
            $kept[] = $session;
        }
        // Each holds the one before it.
        $session = null;
    }
    if ($words[0] === "drop") {
        $kept = array_slice($kept, 0, intdiv(count($kept), 2));
    }
    if ($words[0] === "free") {
        gc_mem_caches();
    }
    answer("", count($kept));
}
