//! Words that show what is wanted, in the languages that the exemplars speak.
//!
//! Owns the table of cue phrases. Refuses weights: how much a cue says is learnt from the exemplars, so a wrong or
//! missing word here costs a little accuracy and no more. Words are matched without case and accents.

use std::sync::LazyLock;

use crate::lexicon::Lexicon;

/// Each group's phrases say the same about a request.
const TABLE: &[&str] = &[
    // Asks for another language.
    "translate|translation|translating|translated|translates|interpret this|render this in|in english please|\
        how do you say|how would you say|say this in|put this into|ubersetze|ubersetzen|ubersetzung|ins deutsche|auf deutsch|\
        traduis|traduire|traduction|traduisez|en francais|traduce|traducir|traduzca|traduccion|al ingles|al espanol|en espanol|\
        traduci|tradurre|traduzione|in italiano|in inglese|traduza|traduzir|traducao|para o ingles|para o portugues|vertaal|vertalen|\
        naar het engels|przetlumacz|na angielski|na polski|oversatt|oversaett|翻译|译成|译为|翻成|翻譯|訳して|翻訳|英語に|日本語に|日本語で|\
        переведи|переведите|перевод|на английский|на русский|ترجم|ترجمة|अनुवाद|번역|cevir|tercume|ingilizceye|turkceye",
    // Names a language.
    "english|german|french|spanish|italian|portuguese|dutch|polish|swedish|danish|norwegian|finnish|russian|\
        ukrainian|turkish|arabic|hebrew|hindi|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai|greek|czech|hungarian|\
        romanian|latin|swahili|welsh|irish|icelandic|catalan|basque|persian|urdu|bengali|tamil|deutsch|englisch|franzosisch|spanisch|\
        francais|anglais|allemand|espagnol|espanol|ingles|frances|aleman|italiano|inglese|tedesco|francese|英语|法语|日语|德语|中文|英文|\
        英語|английский",
    // Asks for a shorter version.
    "summarize|summarise|summary|summaries|summarizing|summarising|summarized|summarised|summarization|summarisation|\
        tldr|tl dr|in a nutshell|boil down|boil this down|condense|condensed|shorten|recap|digest|gist|key points|main points|\
        main idea|key takeaways|takeaways|bullet points|executive summary|abstract of|minutes|short version|sum up|sum this up|\
        the short of it|zusammenfassung|fasse zusammen|fass zusammen|zusammenfassen|zusammen|resume|resumer|resumez|en bref|resumen|\
        resumir|resumelo|resumo|resuma|riassumi|riassunto|riassumere|samenvatting|vat samen|podsumuj|streszczenie|stresc|sammanfatta|\
        总结|摘要|概括|概述|要約|まとめて|概要|кратко|резюме|суммируй|перескажи|لخص|ملخص|सारांश|요약|ozetle|ozet",
    // Asks for the same in other words.
    "rewrite|rewriting|rewritten|rephrase|rephrased|rephrasing|paraphrase|paraphrasing|reword|reworded|proofread|\
        proof read|fix the grammar|fix grammar|correct the grammar|grammar|correct the spelling|spelling mistakes|typos|copyedit|edit this|\
        polish|polished|make this|make it|sound more|more formal|less formal|more polite|friendlier|more concise|simplify|simplified|\
        plain english|plain language|convert|reformat|turn this|turn these|tone|active voice|passive voice|first person|third person|\
        past tense|formulate|improve the wording|tidy up|clean up|restructure|formuliere|umformulieren|umschreiben|schreib um|\
        verbessere|korrigiere|freundlicher|reformule|reformuler|corrige|reecris|reescribe|reescribir|corregir|reformula|riscrivi|\
        correggi|reescreva|reescrever|corrija|herschrijf|herformuleer|przepisz|popraw|skriv om|改写|润色|修改|改得|改成|书き直して|\
        書き換え|言い換え|丁寧に|перепиши|перефразируй|исправь|اعد صياغة|أعد صياغة|पुनर्लेखन|다시 써|duzelt|yeniden yaz",
    // Asks for a label.
    "classify|classification|classified|classifier|categorize|categorise|category|categories|categorization|label|\
        labels|labelled|labeled|labelling|sentiment|positive|negative|neutral|spam|ham|toxic|toxicity|sarcastic|sarcasm|which of these|\
        which category|which class|what type of|what kind of|which department|assign|tag|tagging|topic|topics|intent|intents|genre|\
        stance|emotion|emotions|severity|urgent|urgency|priority|triage|class|classes|choose one|pick one|pick exactly one|sort these|\
        detect whether|is it a|klassifiziere|klassifizieren|einordnen|ordne|kategorie|kategorien|bestimme|stimmung|classe|classer|\
        classifie|categorie|clasifica|clasificar|categoria|categorias|etiqueta|classifica|classificar|classifichi|sentimento|\
        sentimiento|classificeer|sklasyfikuj|kategoria|klassificera|分类|类别|情感|好评|差评|标签|属于哪|分類|カテゴリ|感情|\
        классифицируй|категория|тональность|صنف|تصنيف|वर्गीकृत|भावना|분류|siniflandir|etiketle",
    // Names typical labels.
    "positive negative|positive or negative|positive negative or neutral|spam or ham|spam or not|yes or no|yes no|\
        true or false|true false|one of|one of the following|exactly one|one label|one word|single word|answer with|respond with|\
        output only|reply with|only the|options|choices|either|formal or informal|informational|ja oder nein|oui ou non|si o no|\
        sim ou nao|是或否|是还是|はい|да или нет",
    // Asks to pull something out of a text.
    "extract|extracting|extraction|extracted|extracts|pull out|pull the|pull all|pick out|list all|list every|\
        list the|find all|find every|find the names|identify all|identify the|named entities|named entity|entities|entity|ner|\
        mentioned|mentions|fields|field|keys|key value|parse|parsed|names of|all the|email addresses|phone numbers|dates|amounts|\
        who is mentioned|which companies|which people|who what when|highlight|underline|json with|as json|return json|json object|csv|\
        table with|extrahiere|extrahieren|nenne alle|liste alle|alle namen|extrais|extraire|extrayez|releve|extrae|extraer|lista todos|\
        estrai|estrarre|elenca|extraia|extrair|liste|haal|wyodrebnij|wypisz|extrahera|提取|抽取|找出|列出|抽出|取り出して|書き出して|\
        извлеки|выпиши|найди все|استخرج|निकालें|निकालो|추출|cikar|listele",
    // Asks how two texts stand to each other.
    "premise|hypothesis|entail|entails|entailed|entailment|contradict|contradicts|contradiction|contradictory|\
        follow from|follows from|follow|implies|imply|implied|inferred|infer|inference|consistent with|consistent|inconsistent|\
        same meaning|mean the same|saying the same|same thing|paraphrases|duplicate|duplicates|supported by|support|supports|refutes|\
        refuted|refute|not enough info|verify the claim|claim|statement|compatible|logically follow|agree|grounded|hallucination|\
        faithful|pramisse|hypothese|folgt|widerspruch|widerspricht|dasselbe|gleichbedeutend|premisse|implique|contredit|\
        premisa|hipotesis|implica|contradice|contradiccion|premessa|ipotesi|segue|contraddice|premissa|hipotese|contradiz|volgt|\
        zin 1|przeslanka|hipoteza|wynika|前提|假设|蕴含|矛盾|仮説|含意|посылка|гипотеза|следует|противоречит|подтверждает|\
        مقدمة|فرضية|आधार|परिकल्पना|전제|가설|onerme|varsayim|celiski",
    // Points at a text to read the answer from.
    "passage|according to the|according to this|based on the|based on this|from the text|in the text|the text|\
        the article|the paragraph|the story|the email|the document|the report|read the|context|answer the question|\
        answer the questions|answer from|answer using|using only|only the information|quote the|which line|what does the author|\
        the author|the speaker|the narrator|does it say|mentioned in|excerpt|below|attached|laut|dem text|gemass|lies|abschnitt|\
        selon|le texte|d apres|passage|segun|el texto|lee|secondo|il testo|brano|leggi|segundo|o texto|leia|volgens|de tekst|lees|\
        wedlug|tekst|根据|文中|阅读|短文|文章|本文|読んで|文章を|によると|согласно|текст|прочитай|النص|وفقا|اقرأ|गद्यांश|पाठ|\
        지문|본문|metne gore|parcaya|oku",
    // Asks for invention.
    "poem|poems|haiku|limerick|sonnet|verse|verses|rhyme|rhymes|rhyming|lyrics|song|ballad|story|stories|tale|fable|\
        fairy tale|bedtime story|short story|flash fiction|fiction|fanfic|novel|chapter|scene|screenplay|script for|monologue|dialogue|\
        slogan|slogans|tagline|taglines|jingle|ad copy|advert|advertisement|ad for|speech|toast|eulogy|blog post|essay|article about|\
        caption|captions|invent|imagine a|make up|brainstorm|ideas for|names for|name ideas|creative|product description|cover letter|\
        love letter|letter to|invitation|birthday card|greeting card|joke|jokes|riddle|pun|puns|parody|satire|opening line|\
        gedicht|geschichte|marchen|erzahlung|slogan fur|rede|brief|poeme|histoire|conte|chanson|discours|lettre|poema|cuento|historia|\
        cancion|discurso|carta|poesia|racconto|storia|filastrocca|canzone|lettera|conto|historia de|cancao|verhaal|liedje|wiersz|\
        opowiadanie|bajka|dikt|saga|诗|故事|小说|歌词|广告语|标语|散文|情书|詩|俳句|物語|短歌|小説|キャッチコピー|стихотворение|\
        стих|рассказ|сказка|песня|слоган|قصة|قصيدة|कविता|कहानी|시를|이야기|siir|hikaye|masal",
    // Asks to write something.
    "write|writing|compose|draft|create|generate|craft|produce|come up with|design|pen|author|give me a|schreibe|\
        schreib|verfasse|erstelle|entwirf|ecris|ecrire|redige|cree|escribe|escribir|redacta|crea|inventa|scrivi|scrivere|escreva|\
        escrever|crie|schrijf|napisz|stworz|skriv|写|写一|作一|起草|書いて|作って|напиши|сочини|придумай|اكتب|लिखो|लिखें|써줘|써 줘|yaz",
    // About programs.
    "code|function|functions|method|class|python|javascript|typescript|java|rust|golang|c++|kotlin|swift|php|ruby|perl|\
        haskell|scala|bash|shell|powershell|sql|query|postgres|mysql|sqlite|html|css|react|vue|django|flask|fastapi|node|nodejs|npm|\
        pip|cargo|docker|dockerfile|kubernetes|kubectl|helm|terraform|yaml|regex|regexp|regular expression|algorithm|compile|compiler|\
        compiles|segfault|stack trace|traceback|exception|nullpointerexception|typeerror|undefined|bug|bugs|debug|debugging|refactor|\
        refactoring|unit test|unit tests|pytest|api endpoint|endpoint|script|one liner|pandas|numpy|dataframe|pytorch|tensorflow|git|\
        github|commit|merge conflict|pull request|linked list|binary tree|hash map|array|arrays|loop|loops|recursion|recursive|pointer|\
        pointers|thread|threads|async|await|mutex|variable|variables|parameter|struct|enum|trait|lambda|library|framework|webpack|\
        makefile|cron|crontab|vim|linux|ubuntu|nginx|excel formula|vba|macro|spreadsheet|funktion|programm|skript|programmiere|fonction|\
        programme|funcion|programa|codigo|funzione|codice|programma|funcao|functie|funkcja|kod|funktionen|代码|函数|编程|程序|脚本|\
        报错|コード|関数|プログラム|スクリプト|функция|функцию|скрипт|код|программа|программу|كود|دالة|برنامج|कोड|फ़ंक्शन|코드|함수|\
        fonksiyon|fonksiyonu",
    // Asks to calculate, prove or solve.
    "calculate|calculation|compute|solve|prove|proof|derive|derivation|how many|how much|how long|how far|how old|\
        step by step|show your work|show your working|show the steps|explain your reasoning|reason|reasoning|puzzle|riddle|logic|logical|\
        deduce|probability|expected value|equation|equations|integral|derivative|differentiate|integrate|theorem|lemma|induction|\
        percent|percentage|interest|average|speed|total|sum of|product of|square root|prime|factor|factors|divisible|remainder|modulo|\
        permutations|combinations|maximize|minimize|optimal|shortest|cheapest|schedule|constraint|constraints|must|at least|at most|\
        twice|half|third|ratio|reverse|backwards|anagram|unscramble|palindrome|letters|letter|counterexample|valid|if and only if|\
        therefore|multiple choice|next number|next term|sequence|work out|figure out|berechne|rechne|beweise|lose|wie viele|wie viel|\
        schritt fur schritt|calcule|calculer|resous|demontre|demontrer|combien|etape par etape|calcula|resuelve|demuestra|cuantos|\
        cuantas|cuanto|paso a paso|calcola|risolvi|dimostra|quanti|quante|quanto|passo passo|resolva|prove que|quantos|quantas|\
        passo a passo|bereken|hoeveel|oblicz|udowodnij|ile|berakna|hur manga|计算|求|证明|多少|几|解方程|推理|一步一步|逻辑|計算|\
        証明|何本|いくつ|求めよ|求めなさい|вычисли|посчитай|докажи|реши|сколько|по шагам|احسب|اثبت|كم|हल|गणना|कितने|कितना|계산|증명|\
        몇|hesapla|kac|adim adim|ispatla",
    // Opens a question about the world.
    "what|who|whom|whose|when|where|which|why|how|what is|what are|what was|who is|who was|who were|when did|when was|\
        where is|where was|how does|how do|why is|why do|why does|why did|what does|tell me about|explain|define|definition of|\
        meaning of|difference between|describe|name the|name three|capital of|inventor|invented|discovered|founded|wer|wann|wo|\
        warum|wieso|welche|welcher|welches|was ist|was sind|was bedeutet|erklare|qui|quand|ou|pourquoi|comment|quel|quelle|quels|\
        quelles|qu est|explique|quien|cuando|donde|por que|como|cual|que es|explica|chi|quando|dove|perche|come|quale|che cos|cosa|\
        spiega|quem|onde|qual|o que|wie|wat|waar|waarom|wanneer|hoe|kto|kiedy|gdzie|dlaczego|jak|co to|vem|nar|var|varfor|hur|\
        什么|谁|哪|哪里|为什么|怎么|如何|何时|解释|何|誰|いつ|どこ|なぜ|どうして|とは|кто|когда|где|почему|зачем|как|что такое|\
        объясни|من|متى|اين|لماذا|كيف|ما هو|ما هي|क्या|कौन|कब|कहाँ|क्यों|कैसे|무엇|누구|언제|어디|왜|어떻게|nedir|kim|ne zaman|nerede|\
        neden|nasil",
    // Asks for a number on a scale.
    "rate|rating|score|scores|scale|on a scale|scale of|scale from|from 0 to|from 1 to|between 0 and|out of 10|out of 5|\
        out of 100|similarity|similarity score|how similar|degree|estimate|estimated|predict|prediction|forecast|probability that|\
        how likely|likelihood|percentage of|how confident|numeric|number between|a number|decimal|decimals|regression|intensity|\
        readability|price of|expected price|valence|arousal|float|bewerte|skala|schatze|ahnlichkeit|von 0 bis|von 1 bis|estime|note de|\
        echelle|sur une echelle|similitude|estima|puntua|puntuacion|del 1 al|de 0 a|escala|similitud|stima|da 0 a|da 1 a|punteggio|\
        scala|avalie|nota de|pontue|estime|similaridade|schat|schaal|oszacuj|skali|uppskatta|打分|评分|分数|相似度|估计|预测|概率|点数|\
        類似度|予測|評価|оцени|шкале|от 0 до|от 1 до|сходство|прогноз|قدر|درجة|من 0|पैमाने|अनुमान|점수|예측|puan|tahmin|benzerlik",
    // Asks to judge somebody's work.
    "judge|grade|grading|evaluate|evaluation|assess|assessment|critique|review this|feedback|which is better|which answer|\
        which response|better answer|better response|answer a|answer b|response a|response b|assistant a|assistant b|rubric|criteria|\
        criterion|marks|annotate|annotation|annotator|helpfulness|harmlessness|factual accuracy|is this answer|is the answer correct|\
        correct answer|student|students answer|essay below|strengths|weaknesses|rank these|rank the|compare the two|pairwise|preference|\
        verdict|peer review|reviewer|score the|mark this|beurteile|benote|bewertung|korrektur|welche antwort|besser|evalue|evaluer|\
        juge|meilleure reponse|laquelle|evalua|evaluar|califica|mejor respuesta|valuta|valutare|giudica|quale risposta|migliore|\
        avaliar|julgue|melhor resposta|beoordeel|welk antwoord|ocen|ktora odpowiedz|bedom|评价|评估|点评|哪个更好|批改|评判|採点|\
        どちらが|評価して|оцените|какой ответ|лучше|قيم|मूल्यांकन|평가|degerlendir|hangisi",
    // Small talk and feelings.
    "hi|hello|hey|hiya|yo|good morning|good evening|good afternoon|good night|how are you|how was your|whats up|wassup|sup|\
        thanks|thank you|thx|bye|goodbye|see you|lol|haha|lmao|omg|bored|lonely|sad|tired|im so|i feel|i just|my day|my weekend|\
        my boyfriend|my girlfriend|my ex|my mom|my dad|do you like|are you a|are you real|do you remember|remember me|talk to me|chat with me|\
        lets chat|lets talk|lets play|keep me company|cheer me up|tell me about yourself|your favorite|your favourite|can we talk|\
        hallo|guten morgen|wie geht|danke|mir ist langweilig|salut|bonjour|ca va|merci|coucou|hola|buenos dias|que tal|gracias|ciao|\
        buongiorno|come stai|grazie|ola|oi|bom dia|tudo bem|obrigado|obrigada|hoi|goedemorgen|czesc|dzien dobry|hej|hejsan|tack|你好|\
        早上好|谢谢|聊聊|在吗|无聊|好累|おはよう|こんにちは|こんばんは|ありがとう|聞いて|привет|здравствуй|спасибо|как дела|\
        скучно|مرحبا|صباح|كيف حالك|नमस्ते|कैसे हो|안녕|고마워|selam|merhaba|nasilsin|tesekkurler",
    // Gives the model a part to play.
    "you are|youre|you re|your name is|act as|act like|act as if|pretend|pretend you|pretend to be|imagine you|imagine youre|\
        roleplay|role play|rp|play the role|play the part|stay in character|in character|persona|be my|be a|you be|speak like|\
        talk like|talk to me like|reply as|respond as|answer as|in the voice of|as if you were|from now on|simulate|interview me|dungeon master|\
        text adventure|companion|du bist|tu als ob|spiel die rolle|stell dir vor du|tu es|vous etes|fais comme si|faire semblant|joue le role|\
        eres|actua como|finge|haz de|sei il|sei un|fai finta|fingi|comportati|voce e|aja como|finja|jij bent|doe alsof|jestes|udawaj|\
        udawac|du ar|latsas|你是|你现在是|扮演|假装|假如你|あなたは|になりきって|のふり|ты|представь|притворись|انت|تظاهر|तुम|आप|\
        당신은|sen bir|gibi konus|rol yap",
    // Several things in order.
    "then|and then|after that|afterwards|next|finally|lastly|also|as well as|in addition|additionally|furthermore|and also|\
        both|first|firstly|second|secondly|third|thirdly|separately|once you|when done|followed by|along with|two things|three things|\
        dann|danach|anschliessend|ausserdem|zuerst|zum schluss|puis|ensuite|enfin|d abord|aussi|luego|despues|ademas|tambien|primero|\
        por ultimo|poi|dopo|infine|inoltre|prima|depois|tambem|alem disso|primeiro|por fim|daarna|vervolgens|ook|najpierw|potem|\
        nastepnie|sedan|dessutom|然后|接着|最后|并且|同时|另外|首先|それから|次に|最後に|また|потом|затем|также|сначала|ثم|بعد ذلك|\
        फिर|उसके बाद|그리고|다음|sonra|ardindan|ayrica",
    // Asks for an answer out of a world that is not ours.
    "in this story|in this world|in this exercise|in this game|in this universe|in this fictional|fictional|suppose|\
        assume|assuming|assume that|imagine|imagine a world|pretend that|hypothetical|hypothetically|counterfactual|what if|if instead|\
        let us say|lets say|redefine|redefined|instead of|is defined as|means|treat|treat the|for this exercise|for this assignment|\
        for the purposes|in our|our company|our policy|our handbook|company policy|internal|house rules|policy|policies|handbook|\
        according to our|under our|our team|we define|our product|in my world|my campaign|lore|alternate history|never existed|\
        angenommen|stell dir vor|nehmen wir an|unsere|unserer|unserem|supposons|imagine que|imaginons|notre|nos|supon|supongamos|imagina|\
        nuestra|nuestro|supponiamo|immagina|nostra|nostro|suponha|imagine que|nossa|nosso|stel|onze|zalozmy|wyobraz|nasza|anta|vara|\
        假设|假如|如果|我们公司|我们的|公司|仮に|もし|弊社|当社|предположим|допустим|наша|нашей|لنفترض|افترض|شركتنا|मान लो|मान लीजिए|\
        हमारी|가정|우리 회사|varsayalim|diyelim ki|sirketimiz|bizim",
    // Depends on when it is asked.
    "today|tonight|now|right now|currently|current|latest|newest|recent|recently|this week|this month|this year|this morning|\
        yesterday|tomorrow|last week|last month|last night|next week|upcoming|so far|as of|up to date|breaking|news|headlines|weather|\
        forecast|price|stock price|share price|exchange rate|score of|who won|still|anymore|nowadays|these days|at the moment|live|\
        open now|in stock|2024|2025|2026|2027|heute|aktuell|aktuelle|derzeit|gerade|jetzt|morgen|gestern|neueste|wetter|aujourd hui|\
        actuellement|maintenant|demain|hier|dernier|derniere|meteo|hoy|ahora|actual|actualmente|manana|ayer|ultimo|tiempo hace|oggi|\
        adesso|attuale|attualmente|domani|ieri|hoje|agora|atual|atualmente|amanha|ontem|vandaag|nu|momenteel|dzis|dzisiaj|teraz|obecnie|\
        idag|just nu|今天|现在|目前|最新|今年|昨天|明天|天气|股价|今日|今|現在|昨日|明日|天気|сегодня|сейчас|текущий|последние|\
        вчера|завтра|погода|اليوم|الان|حاليا|आज|अभी|वर्तमान|오늘|지금|현재|최신|bugun|simdi|guncel|son",
    // Points at material.
    "the following|following|this text|this sentence|this review|this paragraph|this email|this message|this code|\
        this article|these|below|above|given|here is|here are|heres|attached|provided|input|text|sentence|review|tweet|comment|\
        message|document|transcript|notes|snippet|quote|folgende|folgenden|diesen|dieser text|unten|suivant|suivante|ce texte|cette|\
        ci dessous|siguiente|este texto|esta|abajo|seguente|questo|questa|seguinte|este|abaixo|volgende|deze|onderstaande|ponizszy|\
        ten tekst|foljande|denna|下面|以下|这段|这篇|这句|次の|この|以下の|следующий|этот|это|التالي|هذا|निम्नलिखित|इस|다음|이 글|\
        asagidaki|bu metni",
    // Wants a short answer.
    "one word|in one word|a single word|yes or no|only|just the|just give|briefly|brief|short|shortly|concise|in one sentence|\
        one sentence|two sentences|no explanation|without explanation|one line|quick|in short|keep it short|nur|kurz|ein wort|bref|\
        un mot|seulement|breve|solo|una palabra|una sola|so|uma palavra|kort|alleen|krotko|只|一句话|简短|简洁|一言で|短く|だけ|\
        коротко|одним словом|только|باختصار|फ़क़त|संक्षेप|한 마디|간단히|kisaca|sadece",
    // Wants a long answer.
    "detailed|in detail|in depth|comprehensive|thorough|thoroughly|long|extensive|complete|full|essay|report|article|\
        blog post|guide|tutorial|step by step|plan|outline|pages|paragraphs|words|chapter|everything|ausfuhrlich|detailliert|\
        detaille|en detail|detallado|detalladamente|dettagliato|detalhado|uitgebreid|szczegolowo|详细|全面|詳しく|подробно|بالتفصيل|\
        विस्तार|자세히|detayli|ayrintili",
    // Names a form of the answer.
    "json|yaml|xml|csv|table|markdown|bullet|bullets|list|columns|schema|html|latex|numbered list|headings|template|tabelle|\
        liste|tableau|tabla|tabella|tabela|tabel|表格|列表|表|таблица|جدول|तालिका|표|tablo",
    // Asks somebody politely.
    "please|pls|plz|could you|can you|would you|can u|could u|kindly|i need|i want|i would like|id like|help me|help|bitte|\
        kannst du|konnen sie|s il|stp|peux tu|pouvez vous|por favor|puedes|podrias|per favore|puoi|potresti|voce pode|pode|alsjeblieft|\
        kun je|prosze|mozesz|snalla|kan du|请|帮我|麻烦|ください|お願い|пожалуйста|можешь|من فضلك|कृपया|부탁|lutfen",
    // About facts of the world.
    "history|century|war|president|king|queen|country|countries|city|capital|population|river|mountain|planet|species|\
        element|chemical|physics|biology|law|act|treaty|author|novel by|painter|composer|film|movie|album|band|founder|company|theory|\
        disease|symptoms|vitamin|medicine|treatment|religion|philosophy|economics|invention|battle|empire|olympics|world cup|nobel|\
        language spoken|currency|hauptstadt|krieg|jahrhundert|capitale|guerre|siecle|capital de|guerra|siglo|secolo|seculo|hoofdstad|\
        stolica|wojna|首都|历史|战争|世纪|歴史|首都は|戦争|столица|война|век|история|عاصمة|تاريخ|राजधानी|इतिहास|수도|역사|baskenti|\
        tarihi",
    // Personal pronouns of the asker.
    "i|im|ive|id|me|my|mine|myself|we|our|us|ich|mir|mein|meine|je|j|moi|mon|ma|mes|yo|mi|mis|io|mio|mia|eu|meu|minha|ik|mijn|\
        moj|moja|jag|min|我|私|俺|я|мне|мой|мою|моя|انا|मैं|मेरे|मुझे|나|제|내|ben|bana|benim",
    // Pronouns of the one asked.
    "you|your|yours|yourself|u|ur|du|dein|deine|dir|dich|sie|tu|toi|ton|ta|vous|votre|te|usted|lei|voce|voces|jij|je|jouw|ty|\
        twoj|din|dig|你|您|あなた|君|вы|тебя|тебе|انت|तुम्हारा|너|당신|sana|senin",
];

/// How many groups there are.
pub(crate) const CUES: usize = TABLE.len();

/// The place of a group in [`TABLE`], for the few that features combine.
pub(crate) mod group {
    pub(crate) const CODE: usize = 11;
    pub(crate) const REASON: usize = 12;
    pub(crate) const ASK: usize = 13;
    pub(crate) const WRITE: usize = 10;
    pub(crate) const PERSONA: usize = 17;
    pub(crate) const THEN: usize = 18;
    pub(crate) const ELSEWHERE: usize = 19;
    pub(crate) const NOW: usize = 20;
    pub(crate) const GIVEN: usize = 21;
    pub(crate) const ME: usize = 27;
}

/// All groups, ready to search.
pub(crate) fn lexicon() -> &'static Lexicon {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new((0_u16..).zip(TABLE.iter().copied())));
    &LEXICON
}
