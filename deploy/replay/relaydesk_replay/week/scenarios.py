# ruff: noqa: E501 - people's words stay on one line
"""What people write in about, in their words. One scenario is one cause; its texts are the languages it is told in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """topic: what it is about. kind: as a tool would label it. weight: how common. impact, urgency: as people rate it,
    high to low.
    minutes: the work it takes at the median. texts: language -> (title, text) variants; `{app}`, `{n}` and `{site}` are
    filled in."""

    topic: str
    kind: str
    weight: int
    impact: str
    urgency: str
    minutes: int
    texts: dict[str, list[tuple[str, str]]]


SCENARIOS = [
    Scenario(
        "password",
        "service_request",
        16,
        "low",
        "medium",
        20,
        {
            "en": [
                (
                    "Password reset",
                    "Hi, I have locked myself out of {app} after my holiday. Could you reset my password please?",
                ),
                ("Account locked", "Too many attempts on {app}, the account says locked. I need it before noon."),
            ],
            "de": [
                (
                    "Passwort zurücksetzen",
                    "Guten Morgen, mein Kennwort für {app} ist abgelaufen und ich komme nicht mehr hinein.",
                ),
                ("Konto gesperrt", "Mein Konto ist nach drei Versuchen gesperrt worden. Bitte entsperren, danke!"),
            ],
            "fr": [
                ("Mot de passe oublié", "Bonjour, j'ai oublié mon mot de passe {app}, pouvez-vous le réinitialiser ?")
            ],
            "es": [("Restablecer contraseña", "Hola, no recuerdo la contraseña de {app} y la cuenta está bloqueada.")],
        },
    ),
    Scenario(
        "vpn",
        "incident",
        12,
        "medium",
        "medium",
        60,
        {
            "en": [
                (
                    "VPN drops every few minutes",
                    "Since the update the VPN disconnects when I work from home. It affects {n} of us.",
                ),
                ("No VPN", "AnyConnect says authentication failed, although the MFA code is right."),
            ],
            "de": [
                (
                    "VPN bricht ab",
                    "Im Homeoffice bricht die VPN-Verbindung alle paar Minuten ab, seit gestern. Betroffen sind {n} Personen.",
                )
            ],
            "fr": [("VPN impossible", "Le VPN ne se connecte plus depuis ce matin, le code MFA est refusé.")],
            "es": [("La VPN no conecta", "Desde ayer la VPN se corta cada pocos minutos cuando trabajo desde casa.")],
        },
    ),
    Scenario(
        "mail",
        "incident",
        11,
        "medium",
        "medium",
        45,
        {
            "en": [
                ("Outlook does not start", "Outlook hangs at 'loading profile'. Restarted twice, no luck."),
                ("Shared mailbox missing", "The shared mailbox of our team has vanished from Outlook since Monday."),
            ],
            "de": [
                ("Outlook startet nicht", "Outlook bleibt beim Laden des Profils hängen. Neustart hilft nicht."),
                ("Mails kommen nicht an", "Externe E-Mails kommen seit heute Morgen nicht mehr an."),
            ],
            "fr": [("Outlook bloqué", "Outlook reste bloqué au chargement du profil.")],
            "es": [("Outlook no abre", "Outlook se queda cargando el perfil y no abre.")],
        },
    ),
    Scenario(
        "printer",
        "incident",
        8,
        "low",
        "low",
        40,
        {
            "en": [
                (
                    "Printer on floor {n} is offline",
                    "The printer shows offline, toner is full. Nobody on the floor can print.",
                )
            ],
            "de": [
                ("Drucker im {n}. Stock druckt nicht", "Der Drucker meldet Papierstau, es ist aber kein Papier drin.")
            ],
            "fr": [("Imprimante en panne", "L'imprimante du {n}e étage n'imprime plus.")],
            "es": [("La impresora no imprime", "La impresora de la planta {n} está fuera de línea.")],
        },
    ),
    Scenario(
        "wifi",
        "incident",
        8,
        "medium",
        "medium",
        50,
        {
            "en": [("Wifi very slow in {site}", "The wifi in {site} is unusable in meeting rooms, cable works fine.")],
            "de": [("WLAN in {site} langsam", "In den Besprechungsräumen in {site} ist das WLAN kaum nutzbar.")],
            "fr": [("Wifi lent", "Le wifi est très lent à {site} depuis lundi.")],
        },
    ),
    Scenario(
        "access",
        "service_request",
        11,
        "low",
        "low",
        35,
        {
            "en": [
                (
                    "Access to {app} for a new colleague",
                    "Please give our new colleague access to {app} and to the team's share.",
                ),
                ("Role change", "I have moved to controlling, please add the role for {app} and remove the old ones."),
            ],
            "de": [
                (
                    "Berechtigung für {app}",
                    "Bitte eine Berechtigung für {app} einrichten, mein Vorgesetzter hat zugestimmt.",
                )
            ],
            "es": [("Acceso a {app}", "Necesito acceso a {app} para el nuevo proyecto.")],
        },
    ),
    Scenario(
        "software",
        "service_request",
        9,
        "low",
        "low",
        30,
        {
            "en": [
                ("Install {app}", "Please install {app} on my laptop, the licence is approved."),
                ("Update asks for admin rights", "The {app} update asks for an administrator password."),
            ],
            "de": [("{app} installieren", "Bitte {app} auf meinem Notebook installieren.")],
            "fr": [("Installer {app}", "Merci d'installer {app} sur mon poste.")],
        },
    ),
    Scenario(
        "hardware",
        "incident",
        8,
        "low",
        "medium",
        120,
        {
            "en": [
                ("Laptop does not charge", "The dock no longer charges my laptop, battery at 8 %."),
                ("Second screen flickers", "My second monitor flickers since I changed desks."),
            ],
            "de": [("Notebook lädt nicht", "Das Notebook lädt an der Dockingstation nicht mehr.")],
            "es": [("El portátil no carga", "El portátil ya no carga con la base.")],
        },
    ),
    Scenario(
        "sap",
        "incident",
        7,
        "high",
        "medium",
        90,
        {
            "en": [
                (
                    "SAP posting fails",
                    "Posting an invoice in SAP ends with 'update terminated'. Month-end closing is tomorrow.",
                )
            ],
            "de": [
                (
                    "SAP-Buchung bricht ab",
                    "Beim Buchen erscheint 'Verbuchung abgebrochen'. Der Monatsabschluss ist morgen.",
                )
            ],
            "fr": [("Erreur SAP", "La saisie d'une facture dans SAP se termine en erreur.")],
        },
    ),
    Scenario(
        "security",
        "incident",
        4,
        "high",
        "high",
        30,
        {
            "en": [
                (
                    "Suspicious mail",
                    "I clicked a link in a mail that looked like it came from HR and entered my password. Phishing?",
                ),
                ("Lost laptop", "My laptop was stolen on the train this morning. It was not locked."),
            ],
            "de": [
                (
                    "Phishing-Mail",
                    "Ich habe in einer verdächtigen Mail auf einen Link geklickt und mein Kennwort eingegeben.",
                )
            ],
            "es": [("Correo sospechoso", "He recibido un correo de phishing y he abierto el adjunto.")],
        },
    ),
    Scenario(
        "question",
        "question",
        6,
        "low",
        "low",
        15,
        {
            "en": [("How do I share a calendar?", "How can I share my calendar with somebody outside?"), ("", "?")],
            "de": [("Frage zu Teams", "Wie kann ich eine Aufzeichnung in Teams freigeben?")],
        },
    ),
]

OUTAGE = Scenario(
    "outage",
    "incident",
    0,
    "high",
    "high",
    90,
    {
        "en": [
            ("Nothing works in {site}", "The whole network in {site} is down, nobody can work!"),
            ("ERP down", "ERP and mail are both unreachable, {n} people here cannot work. URGENT"),
            ("Down again??", "Is there an outage? Nothing loads."),
        ],
        "de": [
            ("Netz ausgefallen", "In {site} ist das gesamte Netzwerk ausgefallen, niemand kann arbeiten!"),
            ("Totalausfall", "Kein Netz, kein Telefon, kein ERP. {n} Kollegen betroffen."),
        ],
        "fr": [("Panne générale", "Plus rien ne fonctionne à {site}, tout le monde est bloqué.")],
        "es": [("Caída total", "No funciona nada en {site}, todos parados.")],
    },
)

FOLLOW_UPS = {
    "en": [
        "Any news on this?",
        "It happened again just now.",
        "Thanks, I tried that, still the same.",
        "Yes, you can call me.",
    ],
    "de": ["Gibt es schon etwas Neues?", "Gerade ist es wieder passiert.", "Danke, das hat leider nicht geholfen."],
    "fr": ["Des nouvelles ?", "Le problème est revenu."],
    "es": ["¿Alguna novedad?", "Ha vuelto a pasar."],
}
ASKS = {
    "en": ["Could you send us a screenshot?", "Which version do you have installed?", "Since when exactly?"],
    "de": ["Können Sie uns bitte einen Screenshot schicken?", "Seit wann tritt das auf?"],
    "fr": ["Pouvez-vous nous envoyer une capture d'écran ?"],
    "es": ["¿Puede enviarnos una captura de pantalla?"],
}
APPS = ["SAP", "Salesforce", "Confluence", "Visio", "the HR portal", "Power BI", "the ticket archive", "GitLab"]
SITES = ["Berlin", "Lyon", "Leeds", "Sevilla", "Gdańsk"]
PEOPLE = [
    "Ada Keller",
    "Bo Lindqvist",
    "Carmen Ruiz",
    "Daniela Fischer",
    "Emre Yılmaz",
    "Fatou Diallo",
    "Grzegorz Nowak",
    "Hannah Vogel",
    "Inês Duarte",
    "Jonas Weber",
    "Katarzyna Zając",
    "Léa Martin",
    "Miguel Santos",
    "Nadia Haddad",
    "Oskar Brandt",
    "Paula Gómez",
]
